"""Read and check files of phone numbers, their paths and locks: shared by `fleet`, `cli` and the job router."""

from wavix_async._aio import Lock, check_path, is_held, temporary_file
from wavix_async._files.fields import FIELDS, is_text, settings_of, to_json, update_from, update_from_json
from wavix_async._files.problems import Place, Problem, did_you_mean, mistakes
from wavix_async._files.rows import (
    NOT_A_PHONE,
    NOT_AN_ID,
    SUFFIXES,
    Item,
    NotUtf8Error,
    ParsedChange,
    Row,
    Rules,
    digits_of,
    is_id,
    parse_change,
    read_csv,
    read_ndjson,
)
from wavix_async._files.values import KINDS, ValueProblem, WrongValues, from_text, is_list, make_update

__all__ = [
    # settings
    "FIELDS",
    "KINDS",
    "is_text",
    "settings_of",
    "to_json",
    "update_from",
    "update_from_json",
    # values
    "ValueProblem",
    "WrongValues",
    "from_text",
    "is_list",
    "make_update",
    # rows
    "NOT_AN_ID",
    "NOT_A_PHONE",
    "SUFFIXES",
    "Item",
    "NotUtf8Error",
    "Row",
    "Rules",
    "ParsedChange",
    "digits_of",
    "is_id",
    "read_csv",
    "read_ndjson",
    "parse_change",
    # problems
    "Place",
    "Problem",
    "did_you_mean",
    "mistakes",
    # paths and locks
    "Lock",
    "check_path",
    "is_held",
    "temporary_file",
]
