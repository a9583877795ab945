#!/bin/sh
# Generates common/src/iiot/_pb from proto/, whose file is a link to the one that images carry as package data.
#   scripts/generate-proto.sh           writes the files
#   scripts/generate-proto.sh --check   changes nothing; exit 1 when the files in the tree are out of date
# PYTHON names an interpreter that has grpcio-tools (default: python3).
set -eu
root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
python=${PYTHON:-python3}
target=$root/common/src/iiot/_pb
fresh=$(mktemp -d)
trap 'rm -rf "$fresh"' EXIT

"$python" -m grpc_tools.protoc --proto_path="$root/proto" \
    --python_out="$fresh" --pyi_out="$fresh" "$root/proto/sparkplug_b.proto"
echo '"""Generated from proto/ by scripts/generate-proto.sh; never edited by hand."""' >"$fresh/__init__.py"

case ${1:-} in
    --check)
        if ! diff -ru --exclude=__pycache__ "$target" "$fresh"; then
            echo "common/src/iiot/_pb is out of date: run scripts/generate-proto.sh and commit the result" >&2
            exit 1
        fi
        ;;
    '')
        mkdir -p "$target"
        cp "$fresh"/* "$target/"
        ;;
    *)
        echo "usage: $0 [--check]" >&2
        exit 2
        ;;
esac
