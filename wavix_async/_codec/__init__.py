"""JSON to models and back."""

from wavix_async._codec.compare import is_same_id, shows
from wavix_async._codec.decoder import NO_DRIFTS, TooMuchDrift, decode, fits, from_dict, is_about
from wavix_async._codec.drift import Drift, Drifts, drift_error
from wavix_async._codec.encoder import encode, query_of, to_dict
from wavix_async._codec.json import dumps, loads, loads_odd
from wavix_async._codec.kinds import NO_EXTRA, AnswerBase, FieldsBase, OpenEnum, OpenIntBase, OpenStrBase, Origin
from wavix_async._codec.notebook import Records, html_progress, html_record, html_records, html_table
from wavix_async._codec.scalars import is_empty, plain_scalar
from wavix_async._codec.shapes import (
    holds_plain,
    is_hidden,
    is_list,
    is_model,
    is_nested,
    is_union,
    members,
    name_of,
    shape_of,
)
from wavix_async._codec.sms import Segments, segments
from wavix_async._codec.spreadsheet import is_formula
from wavix_async._codec.values import Value

__all__ = [
    "NO_DRIFTS",
    "NO_EXTRA",
    "AnswerBase",
    "Drift",
    "Drifts",
    "FieldsBase",
    "OpenEnum",
    "OpenIntBase",
    "OpenStrBase",
    "Origin",
    "Records",
    "Segments",
    "TooMuchDrift",
    "Value",
    "decode",
    "drift_error",
    "dumps",
    "encode",
    "fits",
    "from_dict",
    "html_progress",
    "html_record",
    "html_records",
    "html_table",
    "holds_plain",
    "is_about",
    "is_empty",
    "is_formula",
    "is_hidden",
    "is_list",
    "is_model",
    "is_nested",
    "is_same_id",
    "is_union",
    "loads",
    "loads_odd",
    "members",
    "name_of",
    "plain_scalar",
    "query_of",
    "segments",
    "shape_of",
    "shows",
    "to_dict",
]
