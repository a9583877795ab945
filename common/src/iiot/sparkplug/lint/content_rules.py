"""Rules of values that are made of parts: property sets, DataSets, Templates."""

from typing import Final

from iiot.sparkplug.lint.rule import Rule, must, should

CONTENT_RULES: Final[tuple[Rule, ...]] = (
    must(
        "properties-unpaired",
        "A property set has exactly one value for each key.",
        "payloads-propertyset-keys-array-size payloads-propertyset-values-array-size",
    ),
    must(
        "property-type-missing",
        "Births say the type of every property.",
        "payloads-metric-propertyvalue-type-req",
    ),
    must(
        "property-type-invalid",
        "Properties are of the basic datatypes 1 to 14, or property sets (20, 21).",
        "payloads-metric-propertyvalue-type-value payloads-metric-propertyvalue-type-type",
    ),
    must(
        "property-value",
        "A property has a value of its type in the protobuf field of the type, or is_null.",
        "payloads-metric-propertyvalue-type-value",
    ),
    should(
        "property-key-twice",
        "Send each key of a property set once: readers keep one of its values.",
        "payloads-propertyset-keys-array-size",
    ),
    must(
        "quality-type",
        "The property `Quality` is an Int32 (type 3).",
        "payloads-propertyset-quality-value-type",
    ),
    must(
        "quality-value",
        "`Quality` is 0 (bad), 192 (good) or 500 (stale), in int_value.",
        "payloads-propertyset-quality-value-value",
    ),
    must(
        "dataset-column-count",
        "num_of_columns is the number of columns.",
        "payloads-dataset-column-size",
    ),
    must(
        "dataset-types-unpaired",
        "A DataSet has one type for each column.",
        "payloads-dataset-column-num-headers payloads-dataset-types-num",
    ),
    must(
        "dataset-types-missing",
        "Send the types of the columns with every DataSet.",
        "payloads-dataset-parameter-type-req payloads-dataset-types-def",
    ),
    must(
        "dataset-type-invalid",
        "Columns of a DataSet are of the basic datatypes 1 to 14.",
        "payloads-dataset-types-value payloads-dataset-types-type",
    ),
    must(
        "dataset-cell",
        "Cells are plain values, one for each column.",
        "payloads-template-dataset-value",
    ),
    must(
        "dataset-cell-value",
        "A cell's value is of its column's type, in the protobuf field of the type.",
        "payloads-template-dataset-value payloads-dataset-types-value",
    ),
    should(
        "dataset-column-twice",
        "Give each column a name of its own: readers take rows by it.",
        "payloads-dataset-column-num-headers",
    ),
    must(
        "template-kind-missing",
        "Say is_definition, true or false, in every Template.",
        "payloads-template-is-definition",
    ),
    must(
        "template-definition-ref",
        "A definition has no template_ref; an instance has is_definition false.",
        "payloads-template-definition-ref payloads-template-ref-definition"
        " payloads-template-instance-is-definition payloads-template-is-definition-instance",
    ),
    must(
        "template-instance-ref",
        "An instance names its definition in template_ref; a definition has is_definition true.",
        "payloads-template-instance-ref payloads-template-ref-instance"
        " payloads-template-definition-is-definition payloads-template-is-definition-definition",
    ),
    must(
        "template-definition-place",
        "Send definitions in the NBIRTH alone, also those of devices.",
        "payloads-template-definition-nbirth-only",
    ),
    must(
        "template-undefined",
        "Put the definition into the NBIRTH before instances use it.",
        "topics-nbirth-templates payloads-template-definition-nbirth",
    ),
    must(
        "template-member-unknown",
        "An instance has no members beyond those of its definition: add them there.",
        "payloads-template-instance-members payloads-template-definition-members",
    ),
    must(
        "template-member-missing",
        "In births an instance is complete.",
        "payloads-template-instance-members-birth",
    ),
    must(
        "template-name-twice",
        "A Template has each member and each parameter once.",
        "payloads-template-definition-members payloads-template-definition-parameters",
    ),
    must(
        "template-parameter-unknown",
        "Declare the parameter in the definition.",
        "payloads-template-definition-parameters",
    ),
    must(
        "template-parameter-name",
        "Name every parameter.",
        "payloads-template-parameter-name-required payloads-template-parameter-name-type",
    ),
    must(
        "template-parameter-type-missing",
        "Births say the type of every parameter.",
        "payloads-template-parameter-type-req",
    ),
    must(
        "template-parameter-type-invalid",
        "Parameters are of the basic datatypes 1 to 14.",
        "payloads-template-parameter-type-value payloads-template-parameter-value-type",
    ),
    must(
        "template-parameter-value",
        "A parameter's value is of its type: a plain number, Boolean or text.",
        "payloads-template-parameter-value",
    ),
    must(
        "text-not-utf8",
        "Encode texts as UTF-8.",
        version="payloads-template-version",
        ref="payloads-template-ref-instance",
        parameter="payloads-template-parameter-name-type",
        name="payloads-name-requirement",
        property="payloads-propertyset-keys-array-size",
        column="payloads-dataset-column-num-headers",
    ),
)
