"""Format what the commands show: tables, progress, reports and summaries."""

from wavix_async.cli._output.fleet_report import change_json, show_run, write_report
from wavix_async.cli._output.format import format_count, format_duration, format_time
from wavix_async.cli._output.markdown import plan_markdown
from wavix_async.cli._output.progress import Display, ReadProgress, RunProgress
from wavix_async.cli._output.report import format_counts, report_json, result_json, show_report
from wavix_async.cli._output.results import quit_for_results, result_file
from wavix_async.cli._output.summary import (
    NOT_DONE,
    Reason,
    Summary,
    failure_reasons,
    group_reasons,
    refusal_note,
    status_label,
    status_meaning,
    stop_reason,
    summarize,
)
from wavix_async.cli._output.tables import number_facts, number_table, value_cell
from wavix_async.cli._output.ticker import alongside, tick

__all__ = [
    "alongside",
    "NOT_DONE",
    "Display",
    "ReadProgress",
    "Reason",
    "RunProgress",
    "Summary",
    "change_json",
    "failure_reasons",
    "format_count",
    "format_counts",
    "format_duration",
    "format_time",
    "group_reasons",
    "plan_markdown",
    "refusal_note",
    "number_facts",
    "number_table",
    "quit_for_results",
    "report_json",
    "result_json",
    "result_file",
    "show_report",
    "show_run",
    "status_label",
    "status_meaning",
    "stop_reason",
    "summarize",
    "tick",
    "value_cell",
    "write_report",
]
