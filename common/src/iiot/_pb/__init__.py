"""Generated from proto/ by scripts/generate-proto.sh; never edited by hand."""
