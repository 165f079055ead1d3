"""Make HTML pages of plans and runs."""

from wavix_async.cli._html.chart import run_chart
from wavix_async.cli._html.fleet import plan_page, run_page
from wavix_async.cli._html.page import Markup, bar, element, page

__all__ = ["Markup", "bar", "element", "page", "plan_page", "run_chart", "run_page"]
