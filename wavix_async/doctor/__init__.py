"""Find out why something does not work: what is wrong with key, network, clock, limit or webhooks, and what to do.

    from wavix_async.doctor import doctor, explain, whoami

    print(await doctor())
    print(await whoami(wavix))
    print(*explain("26"))

Nothing here writes: to the API only GETs go out, and to a webhook not even a request. `_probes.py` opens connections,
`_checks.py` makes the calls and says what their answers mean, `_report.py` is what the caller gets, `_account.py` is
`whoami`, and `_explain.py` looks codes up in the table `wavix_async/_codes.py`.
"""

from wavix_async.doctor._account import Account, whoami
from wavix_async.doctor._checks import doctor
from wavix_async.doctor._explain import Meaning, explain
from wavix_async.doctor._report import CheckStatus, Finding, Report

__all__ = ["Account", "CheckStatus", "Finding", "Meaning", "Report", "doctor", "explain", "whoami"]
