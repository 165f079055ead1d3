"""JSON to models and back."""

from wavix_async._codec.compare import is_same_id, shows
from wavix_async._codec.decoder import decode, fits, from_dict, is_about
from wavix_async._codec.drift import Drift, drift_error
from wavix_async._codec.encoder import encode, query_of, to_dict
from wavix_async._codec.json import dumps, loads
from wavix_async._codec.kinds import NO_EXTRA, AnswerBase, FieldsBase, OpenEnum, OpenIntBase, OpenStrBase, Origin
from wavix_async._codec.shapes import is_hidden, is_list, is_model, is_union, members, name_of, shape_of
from wavix_async._codec.values import Value

__all__ = [
    "NO_EXTRA",
    "AnswerBase",
    "Drift",
    "FieldsBase",
    "OpenEnum",
    "OpenIntBase",
    "OpenStrBase",
    "Origin",
    "Value",
    "decode",
    "drift_error",
    "dumps",
    "encode",
    "fits",
    "from_dict",
    "is_about",
    "is_hidden",
    "is_list",
    "is_model",
    "is_same_id",
    "is_union",
    "loads",
    "members",
    "name_of",
    "query_of",
    "shape_of",
    "shows",
    "to_dict",
]
