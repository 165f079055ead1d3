"""Read and check files of phone numbers, their paths and locks: shared by `fleet`, `cli` and the job router."""

from wavix_async._aio import Lock, check_path, is_held, temporary_file
from wavix_async._files.fields import FIELDS, is_text, settable_of, settings_of, to_json, update_from, update_from_json
from wavix_async._files.formats import SUFFIXES, RowLayout, read_rows, suffix_of, table_records
from wavix_async._files.objects import json_texts
from wavix_async._files.problems import Place, Problem, Problems, did_you_mean, listed, mistakes
from wavix_async._files.rows import (
    NOT_A_PHONE,
    READ_ONLY,
    Item,
    ParsedChange,
    Row,
    Rules,
    digits_of,
    id_problem,
    is_id,
    parse_change,
    phone_problem,
)
from wavix_async._files.tables import guard
from wavix_async._files.unpacking import NOT_UTF8, UnreadableError, unpack
from wavix_async._files.values import KINDS, ValueProblem, WrongValues, from_text, is_list, make_update
from wavix_async._files.written import Outcomes, replacing
from wavix_async._files.yaml_nodes import INVALID, Node, YamlReader, event_name, key_text, parse_yaml

__all__ = [
    # settings
    "FIELDS",
    "KINDS",
    "is_text",
    "settable_of",
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
    "NOT_A_PHONE",
    "READ_ONLY",
    "Item",
    "Row",
    "Rules",
    "ParsedChange",
    "digits_of",
    "guard",
    "id_problem",
    "is_id",
    "parse_change",
    "phone_problem",
    # files
    "NOT_UTF8",
    "SUFFIXES",
    "RowLayout",
    "UnreadableError",
    "Outcomes",
    "replacing",
    "json_texts",
    "read_rows",
    "suffix_of",
    "table_records",
    "unpack",
    # yaml
    "INVALID",
    "Node",
    "YamlReader",
    "event_name",
    "key_text",
    "parse_yaml",
    # problems
    "Place",
    "Problem",
    "Problems",
    "did_you_mean",
    "listed",
    "mistakes",
    # paths and locks
    "Lock",
    "check_path",
    "is_held",
    "temporary_file",
]
