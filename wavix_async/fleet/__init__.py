"""Fleets of phone numbers: preview changes, apply only the differences, resume, verify and undo.

from wavix_async import WavixClient, fleet

async with WavixClient() as wavix:
    plan = await fleet.plan(wavix, fleet.read("fleet.csv"))
    print(plan.table())
    report = await fleet.apply(wavix, plan, journal="run.sqlite", verify=True)
    report = await fleet.resume(wavix, "run.sqlite")        # after a crash, a Ctrl-C, an outage
    report = await fleet.roll_back(wavix, "run.sqlite")     # undo the run, except fields changed again since
    await fleet.export(wavix, "fleet.csv")                  # write the account to a file that `read` accepts
"""

from wavix_async._files import Place, Problem
from wavix_async.fleet._apply import apply, resume, roll_back
from wavix_async.fleet._desired import DesiredState, Layout, Match, Target, read
from wavix_async.fleet._errors import FleetFileError, JournalError, MissingNumbersError, SafetyError, StalePlanError
from wavix_async.fleet._executor import Stale
from wavix_async.fleet._export import export
from wavix_async.fleet._plan import Plan, plan, read_plan
from wavix_async.fleet._records import (
    Change,
    FieldChange,
    FleetProgress,
    FleetResult,
    FleetStatus,
    NewValue,
    Phase,
    Sample,
)
from wavix_async.fleet._report import FleetReport, has_run, status
from wavix_async.fleet._safety import Safety
from wavix_async.fleet._selectors import Selector

__all__ = [
    # functions
    "read",
    "plan",
    "read_plan",
    "apply",
    "resume",
    "roll_back",
    "status",
    "has_run",
    "export",
    # desired state
    "Layout",
    "Match",
    "Place",
    "Problem",
    "Selector",
    "Target",
    "DesiredState",
    # plan
    "Change",
    "FieldChange",
    "NewValue",
    "Plan",
    # run
    "FleetProgress",
    "FleetReport",
    "FleetResult",
    "FleetStatus",
    "Phase",
    "Safety",
    "Sample",
    "Stale",
    # errors
    "FleetFileError",
    "JournalError",
    "MissingNumbersError",
    "SafetyError",
    "StalePlanError",
]
