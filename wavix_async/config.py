"""The client's settings: frozen classes that check their values, settings from the environment, and profiles.

A setting is taken from the first of these that has it: an argument, the environment (WAVIX_API_KEY, WAVIX_BASE_URL),
the profile, the default. `WavixClient(...)` reads no file; `WavixClient.from_profile(...)` and the command line do.
"""

import hashlib
import ipaddress
import os
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, Final, SupportsIndex

import attrs
from yarl import URL

from wavix_async.errors import ConfigurationError

__all__ = ["DEFAULT_BASE_URL", "RetryPolicy", "Timeouts"]

DEFAULT_BASE_URL: Final = "https://api.wavix.com"


def _number(*, above: float, optional: bool = False, or_equal: bool = False) -> Callable[[object, Any, object], None]:
    def check(instance: object, attribute: Any, value: object) -> None:
        if optional and value is None:
            return
        good = isinstance(value, int | float) and not isinstance(value, bool)
        if not good or not (value >= above if or_equal else value > above):  # type: ignore[operator]
            bound = f"{above:g} or more" if or_equal else f"greater than {above:g}"
            none = " (or None)" if optional else ""
            raise ConfigurationError(
                f"{type(instance).__name__}.{attribute.name} must be a number {bound}{none}, got {value!r}."
            )

    return check


def _whole(instance: object, attribute: Any, value: object) -> None:
    if type(value) is not int:
        raise ConfigurationError(f"{type(instance).__name__}.{attribute.name} must be a whole number, got {value!r}.")


def _to_frozenset(value: Iterable[int]) -> frozenset[int]:
    # Leave any other type for the validator, which reports it.
    return frozenset(value) if isinstance(value, set | frozenset | list | tuple | range) else value  # type: ignore[return-value]


def _true_or_false(instance: object, attribute: Any, value: object) -> None:
    if type(value) is not bool:
        raise ConfigurationError(f"{type(instance).__name__}.{attribute.name} must be True or False, got {value!r}.")


def _statuses(instance: object, attribute: Any, value: object) -> None:
    if not isinstance(value, frozenset) or not all(type(status) is int for status in value):
        raise ConfigurationError(
            f"{type(instance).__name__}.{attribute.name} must be a set of statuses such as {{502, 503}}, got {value!r}."
        )


_STATUSES: Final = frozenset({408, 499, *range(500, 600)})


def _show_statuses(value: object) -> str:
    return "<408, 499 and every 5xx>" if value == _STATUSES else repr(value)


@attrs.frozen(kw_only=True)
class Timeouts:
    """How long to wait, in seconds. A wait for the rate or a slot counts for the deadline, not for an attempt.

    Attributes:
        attempt: The limit for one attempt, from connecting to the last byte of the answer. Time in which the process
            did not run (suspended, stopped, or with a blocked event loop) does not count. Default 30.
        connect: The limit for looking up the host, and again for opening a connection (including TLS). Default 10. If
            it is set for a call (`with_options`), it limits both together.
        deadline: The limit for the whole call: all attempts, backoffs and waits for the rate. None: no limit. Default
            600.

    Raises:
        ConfigurationError: A value is not a positive number.
    """

    attempt: float = attrs.field(default=30.0, validator=_number(above=0))
    connect: float = attrs.field(default=10.0, validator=_number(above=0))
    deadline: float | None = attrs.field(default=600.0, validator=_number(above=0, optional=True))


@attrs.frozen(kw_only=True)
class RetryPolicy:
    """When the client retries a failed attempt.

    After a 429 the client waits and retries until the deadline, regardless of `attempts` (unless it is 1). The client
    retries a request that may have been carried out only if the operation is idempotent. It may retry any request that
    never left this machine.

    Attributes:
        attempts: The maximum number of attempts, including the first; 1 means no retries. Default 4.
        backoff: Upper limit of the first backoff in seconds. The limit doubles with each retry, and each wait is random
            between 0 and the limit ("full jitter"). Default 0.5.
        max_backoff: Upper limit of any backoff, in seconds. Default 8.
        statuses: HTTP statuses after which the client retries. Default 408, 499 and every 5xx. A page of a proxy under
            another 4xx, in place of an answer of the API, counts as a 502.
        repeat_unknown: Whether to retry an idempotent change that may have been carried out. False: its call fails
            instead, and `bulk_update` reads the number before it sends the change again. Default True.
        budget_ratio: Retries allowed per request, over all calls of the client. Default 0.2: at most 20 % more
            traffic.
        budget_per_second: Additional retries allowed per second. Default 10.

    Raises:
        ConfigurationError: A value is out of range.
    """

    attempts: int = attrs.field(default=4, validator=[_number(above=1, or_equal=True), _whole])
    backoff: float = attrs.field(default=0.5, validator=_number(above=0, or_equal=True))
    max_backoff: float = attrs.field(default=8.0, validator=_number(above=0, or_equal=True))
    statuses: frozenset[int] = attrs.field(
        default=_STATUSES, converter=_to_frozenset, validator=_statuses, repr=_show_statuses
    )
    repeat_unknown: bool = attrs.field(default=True, validator=_true_or_false)
    budget_ratio: float = attrs.field(default=0.2, validator=_number(above=0, or_equal=True))
    budget_per_second: float = attrs.field(default=10.0, validator=_number(above=0, or_equal=True))

    @classmethod
    def none(cls) -> "RetryPolicy":
        """Return a policy without retries, even after a 429."""
        return cls(attempts=1)


class Secret(str):
    """A string whose repr hides its value, so that dumps of locals and headers do not show it.

    A part of it is as secret: tools that shorten what they show take a slice and its repr.
    """

    __slots__ = ()

    def __repr__(self) -> str:
        return "'<hidden>'"

    def __getitem__(self, index: SupportsIndex | slice) -> "Secret":
        return Secret(str.__getitem__(self, index))


def read_api_key(api_key: str | None) -> Secret:
    """Return the given API key, or the one in WAVIX_API_KEY.

    Raises:
        ConfigurationError: There is no key, or it has characters that a header cannot contain.
    """
    key = Secret(os.environ.get("WAVIX_API_KEY", "")) if api_key is None else api_key
    if not isinstance(key, str) or not key.strip():
        raise ConfigurationError(
            "api_key is missing: pass WavixClient(api_key=...) or set the environment variable WAVIX_API_KEY."
        )
    key = Secret(key.strip())
    if not (key.isascii() and key.isprintable()):
        raise ConfigurationError("api_key has characters that an HTTP header cannot contain: copy the key again.")
    return key


def is_loopback(host: str) -> bool:
    """Return whether a host is this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def read_base_url(base_url: str | None) -> URL:
    """Return the given base URL, the one in WAVIX_BASE_URL, or the live API's.

    Raises:
        ConfigurationError: It is not an absolute URL, or it uses http for a host that is not loopback.
    """
    # Its text may hold a login, or be the key itself (arguments in the wrong order): no message repeats it.
    given = Secret(str(base_url if base_url is not None else os.environ.get("WAVIX_BASE_URL") or DEFAULT_BASE_URL))
    del base_url
    url = _parse_url(given)
    if url is None:
        raise ConfigurationError(f"base_url is not a URL. Pass a URL such as {DEFAULT_BASE_URL}.")
    if url.scheme not in {"http", "https"} or not url.host:
        missing = "it has no host" if url.scheme in {"http", "https"} else "it does not begin with https://"
        del url
        raise ConfigurationError(f"base_url must be an absolute http(s) URL such as {DEFAULT_BASE_URL}: {missing}.")
    if url.scheme == "http" and not is_loopback(url.host):
        host = url.host
        del url
        raise ConfigurationError(
            f"base_url must use https: {host} is not this machine, and the API key would be sent unencrypted. "
            f"Use https://{host}."
        )
    if url.user or url.password or url.query_string or url.fragment:
        del url
        raise ConfigurationError("base_url must be a scheme, a host and an optional path: no user, query or fragment.")
    return url.with_path(url.raw_path.rstrip("/"), encoded=True)


def _parse_url(text: Secret) -> URL | None:
    try:
        url = URL(str(text).strip())
        # A host such as `xn--` fails only when it is read.
        _ = url.host
        return url
    except (ValueError, IndexError):
        # The message of the parser repeats a part of the text, so it is dropped.
        return None


def account_of(api_key: str, base_url: URL) -> str:
    """Return a name for the account of a key at this API: the same in every process, and it does not reveal the key."""
    return hashlib.sha256(f"{base_url.origin()}\n{api_key}".encode()).hexdigest()[:16]


def check_rate(rate: Any) -> float | None:
    """Return the rate if it is None or a positive number of requests per second.

    Raises:
        ConfigurationError: It is something else.
    """
    good = isinstance(rate, int | float) and not isinstance(rate, bool) and 0 < rate < float("inf")
    if rate is not None and not good:
        raise ConfigurationError(
            "rate must be a number of requests per second greater than 0, or None to learn it, or a shared limit "
            f"(wavix_async.redis.RedisRateLimit); got {rate!r}."
        )
    return None if rate is None else float(rate)


def check_count(name: str, value: int) -> int:
    """Return `value` if it is a whole number of at least 1.

    Raises:
        ConfigurationError: It is something else.
    """
    if type(value) is not int or value < 1:
        raise ConfigurationError(f"{name} must be a whole number of 1 or more, got {value!r}.")
    return value


def check_seconds(name: str, value: float) -> float:
    """Return `value` if it is a number of seconds of at least 0.

    Raises:
        ConfigurationError: It is something else.
    """
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value < float("inf"):
        raise ConfigurationError(f"{name} must be a number of seconds, 0 or more, got {value!r}.")
    return value


# --- profiles ---

_COMMAND_SECONDS: Final = 30.0
"""The longest time of `api_key_command`: it may ask a person to unlock a password manager."""
_LONGEST_KEY: Final = 16_384
_LARGEST_FILE: Final = 1_000_000
_TEXT: Final = ("a text", lambda value: isinstance(value, str) and bool(value.strip()))
_NUMBER: Final = ("a number greater than 0", lambda value: type(value) in (int, float) and value > 0)
_FLAG: Final = ("true or false", lambda value: type(value) is bool)
_KEYS: Final[dict[str, tuple[str, Callable[[Any], bool]]]] = {
    "api_key": _TEXT,
    "api_key_command": (
        "a command: a text, or a list of texts",
        lambda value: (
            bool(value)
            and (isinstance(value, str) or (isinstance(value, list) and all(isinstance(each, str) for each in value)))
        ),
    ),
    "base_url": _TEXT,
    "bulk_share": _NUMBER,
    "ca_file": _TEXT,
    "deadline": _NUMBER,
    "max_connections": ("a whole number of 1 or more", lambda value: type(value) is int and value >= 1),
    "proxy": _TEXT,
    "rate": _NUMBER,
    "strict": _FLAG,
    "timeout": _NUMBER,
    "trust_env": _FLAG,
}


@attrs.frozen(kw_only=True)
class ResolvedSettings:
    """The arguments of a client, and where its key and its URL come from.

    Attributes:
        arguments: The keyword arguments of `WavixClient`. One that is missing has the default of the client.
        key_from: Where the key comes from, in words.
        url_from: Where the base URL comes from, in words.
        profile: The name of the profile that was read; None: no profile was read.
        from_profile: The names of the arguments that the profile sets.
        others: If there is no key: the names of the profiles in the file.
    """

    arguments: dict[str, Any] = attrs.field(repr=False)
    key_from: str
    url_from: str
    profile: str | None = None
    from_profile: frozenset[str] = frozenset()
    others: tuple[str, ...] = ()

    def name_source(self, message: str) -> str:
        """Return the message about a setting that is wrong, with where the setting comes from."""
        name, _, rest = message.partition(" ")
        source = self.url_from if name == "base_url" else f"profile {self.profile!r}"
        if source == "WAVIX_BASE_URL":
            return f"{source} {rest}"
        return f"{name} of {source} {rest}" if name in self.from_profile else message


def hide_secrets(settings: dict[str, Any]) -> dict[str, Any]:
    """Give the secrets in the arguments of a client a repr that hides them, in place: a traceback may show them."""
    for name in ("api_key", "base_url", "proxy"):
        if isinstance(settings.get(name), str):
            settings[name] = Secret(settings[name])
    return settings


def profiles_file() -> Path:
    """Return the path of the file of profiles: WAVIX_CONFIG, else `wavix/config.toml` below the user's settings."""
    if named := os.environ.get("WAVIX_CONFIG"):
        return Path(os.path.expanduser(named))
    settings = os.environ.get("XDG_CONFIG_HOME", "")
    # By its specification, a relative path in XDG_CONFIG_HOME does not count.
    if os.path.isabs(settings):
        return Path(settings, "wavix", "config.toml")
    # Without a home directory the `~` stays, and there is no such file.
    return Path(os.path.expanduser("~/.config/wavix/config.toml"))


def resolve_settings(profile: str | None = None, given: Mapping[str, Any] | None = None) -> ResolvedSettings:
    """Return the settings of a client as the command line finds them.

    Without a profile in `profile` or in WAVIX_PROFILE, and with a key in the arguments or in WAVIX_API_KEY, no file is
    read. Without a key, the profile `default` is used if the file has it.

    Args:
        profile: The name of a profile; None: the one in WAVIX_PROFILE.
        given: Arguments of `WavixClient`; one that is None is not given.

    Raises:
        ConfigurationError: The profile cannot be used.
    """
    if profile is not None or os.environ.get("WAVIX_PROFILE"):
        return read_profile(profile, given)
    arguments = {name: value for name, value in (given or {}).items() if value is not None}
    has_key = "api_key" in arguments or os.environ.get("WAVIX_API_KEY", "").strip()
    others: tuple[str, ...] = ()
    # A link to nowhere and a directory are mistakes: reading them says so.
    if not has_key and (os.environ.get("WAVIX_CONFIG") or os.path.lexists(profiles_file())):
        others = tuple(_read_tables(profiles_file()))
        if "default" in others:
            return read_profile("default", given)
    key_from = _source("api_key", arguments, "WAVIX_API_KEY", "nowhere")
    return ResolvedSettings(arguments=arguments, key_from=key_from, url_from=_url_source(arguments), others=others)


def read_profile(profile: str | None = None, given: Mapping[str, Any] | None = None) -> ResolvedSettings:
    """Return the settings of a client from a profile, the environment and arguments.

    Args:
        profile: The name of the profile; None: the one in WAVIX_PROFILE, or `default`.
        given: Arguments of `WavixClient`; one that is None is not given.

    Raises:
        ConfigurationError: The file or the profile is missing or wrong, others can read its key, or its
            `api_key_command` failed.
    """
    # An empty name is a variable of a script that is not set: the default would be another account.
    if profile is not None and (not isinstance(profile, str) or not profile):
        raise ConfigurationError(f"profile must be the name of a profile, got {profile!r}.")
    name = profile or os.environ.get("WAVIX_PROFILE") or "default"
    file = profiles_file()
    table = dict(_find_table(name, file, _read_tables(file)))
    where = f"Profile {name!r} in {file}"
    arguments = {key: value for key, value in (given or {}).items() if value is not None}
    key_from = _source("api_key", arguments, "WAVIX_API_KEY", f"profile {name!r}")
    url_from = _url_source(arguments, f"profile {name!r}" if "base_url" in table else None)
    command, key = table.pop("api_key_command", None), table.get("api_key")
    if key_from != f"profile {name!r}":
        ours = os.environ.get("WAVIX_API_KEY", "").strip()
        # A profile that the caller names, and the key of another account: the calls would change the wrong account.
        if profile is not None and key_from == "WAVIX_API_KEY" and (command or (key and key.strip() != ours)):
            del ours, key, table
            raise ConfigurationError(
                f"WAVIX_API_KEY is set, and profile {name!r} has a key of its own: it is unclear which account you "
                "mean. Unset WAVIX_API_KEY to use the profile, or leave the profile out to use WAVIX_API_KEY."
            )
        table.pop("api_key", None)
    elif command is not None:
        table["api_key"] = _run_command(command, where)
    elif key is None:
        raise ConfigurationError(f"{where} has no key: add api_key_command or api_key, or set WAVIX_API_KEY.")
    if os.environ.get("WAVIX_BASE_URL"):
        table.pop("base_url", None)
    _merge_timeouts(table, arguments)
    if (ca_file := table.pop("ca_file", None)) is not None and "ssl" not in arguments:
        table["ssl"] = _trust(file.parent / os.path.expanduser(ca_file), where)
    return ResolvedSettings(
        arguments={**table, **arguments},
        key_from=key_from,
        url_from=url_from,
        profile=name,
        from_profile=frozenset(table) - frozenset(arguments),
    )


def _source(name: str, arguments: Mapping[str, Any], variable: str, otherwise: str) -> str:
    if name in arguments:
        return f"the argument {name}"
    return variable if os.environ.get(variable, "").strip() else otherwise


def _url_source(arguments: Mapping[str, Any], otherwise: str | None = None) -> str:
    return _source("base_url", arguments, "WAVIX_BASE_URL", otherwise or "the default")


def _merge_timeouts(table: dict[str, Any], arguments: dict[str, Any]) -> None:
    """Make one `timeout` of the times in a profile and of an argument, which sets all times or those of an attempt."""
    times = {field: table.pop(key) for field, key in (("attempt", "timeout"), ("deadline", "deadline")) if key in table}
    timeout = arguments.get("timeout")
    if times and not isinstance(timeout, Timeouts):
        arguments["timeout"] = Timeouts(**{**times, **({} if timeout is None else {"attempt": timeout})})


def _read_tables(file: Path) -> dict[str, dict[str, Any]]:
    """Read the file, and check all profiles in it: a mistake shows before the profile with it is used.

    Raises:
        ConfigurationError: The file is missing or wrong, or others can read a key in it.
    """
    # Only programs with profiles pay for the parser.
    import tomllib

    # Raised outside of the handlers: an error must not refer to one that holds the content of the file.
    problem, tables, about = None, {}, None
    try:
        with file.open("rb") as stream:
            about = os.fstat(stream.fileno())
            content = Secret(stream.read(_LARGEST_FILE + 1).decode("utf-8-sig"))
        if len(content) > _LARGEST_FILE:
            problem = f"{file} has more than {_LARGEST_FILE:,} characters: it is no file of profiles."
        else:
            tables = _hide(tomllib.loads(content))
        del content
    except OSError as error:
        missing = isinstance(error, FileNotFoundError | NotADirectoryError)
        hint = ' Write one: [default], and below it api_key_command = "..." or api_key = "...".' if missing else ""
        problem = f"Cannot read the profiles in {file}: {error.strerror}.{hint}"
    except UnicodeDecodeError:
        problem = f"{file} is not UTF-8: save it as UTF-8."
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        # Of the parser's message only the place: the message may quote the key.
        found = str(error).rpartition("(")
        place = f" ({found[2]}" if found[2].startswith("at ") else ""
        problem = f"{file} is not valid TOML{place}. A profile is a line [name], then lines such as rate = 20."
    if problem is not None:
        raise ConfigurationError(problem)
    for name, table in tables.items():
        _check_table(name, table, file)
    _check_access(file, about, tables)
    return tables


def _hide(value: Any) -> Any:
    """Return a value of the file whose texts have a repr that hides them: a traceback may show it as a local."""
    if isinstance(value, dict):
        return {key: _hide(each) for key, each in value.items()}
    if isinstance(value, list):
        return [*map(_hide, value)]
    return Secret(value) if isinstance(value, str) else value


def _check_table(name: str, table: Any, file: Path) -> None:
    if not isinstance(table, dict):
        raise ConfigurationError(f"{file}: {name!r} is outside of a profile. Put it below a line such as [default].")
    for key, value in table.items():
        if key not in _KEYS:
            raise ConfigurationError(f"Profile {name!r} in {file} has an unknown key, {key!r}.{_suggest(key, _KEYS)}")
        expected, is_valid = _KEYS[key]
        if not is_valid(value):
            # Without the value: a list, or a key in the wrong place, would show a secret.
            raise ConfigurationError(f"{key} of profile {name!r} in {file} must be {expected}.")
    if "api_key" in table and "api_key_command" in table:
        raise ConfigurationError(f"Profile {name!r} in {file} has api_key and api_key_command: leave one of them out.")


def _suggest(name: str, known: Iterable[str]) -> str:
    import difflib

    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1)
    listed = f" There are: {', '.join(names)}." if names else ""
    return f" Did you mean {close[0]!r}?{listed}" if close else listed


def _find_table(name: str, file: Path, tables: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
    if name not in tables:
        raise ConfigurationError(f"There is no profile {name!r} in {file}.{_suggest(name, tables)}")
    return tables[name]


def _check_access(file: Path, about: os.stat_result | None, tables: Mapping[str, dict[str, Any]]) -> None:
    """Refuse a file whose secrets other users can read, or whose command or URL other users can change."""
    if os.name != "posix" or about is None:
        return
    import shlex

    mode, command = about.st_mode, f"`chmod 600 {shlex.quote(str(file))}`"
    if mode & 0o022:
        raise ConfigurationError(f"Other users can change {file}, and with it where your key goes: run {command}.")
    secrets = [name for table in tables.values() for name in table if name == "api_key" or _is_login(name, table)]
    if mode & 0o044 and secrets:
        raise ConfigurationError(
            f"Other users can read {file}, which has a secret ({secrets[0]}): run {command}, and replace the secret "
            "if others may have read it."
        )


def _is_login(name: str, table: Mapping[str, Any]) -> bool:
    return name == "proxy" and "@" in table[name]


def _trust(file: Path, where: str) -> Any:
    """Return TLS settings that trust the authorities in a file, beside those of the system."""
    import ssl

    context = ssl.create_default_context()
    try:
        context.load_verify_locations(cafile=file)
    except (OSError, ValueError) as error:
        said = getattr(error, "strerror", None) or type(error).__name__
        raise ConfigurationError(f"{where}: cannot read the certificates in ca_file {file}: {said}.") from None
    return context


def _run_command(command: str | list[str], where: str) -> Secret:
    """Run a command without a shell, and return what it prints.

    Raises:
        ConfigurationError: It failed, took too long, or printed nothing or several lines. The message shows only the
            program: the arguments and the output may hold the key.
    """
    import shlex

    try:
        words = shlex.split(command) if isinstance(command, str) else command
    except ValueError as error:
        raise ConfigurationError(f"{where}: api_key_command cannot be split into words: {error}.") from None
    if not words or not words[0]:
        raise ConfigurationError(f"{where}: api_key_command names no program.")
    printed, wrong = _read_output([os.path.expanduser(words[0]), *words[1:]])
    if wrong is None and not printed:
        wrong = "printed nothing. It must print the key"
    elif wrong is None and (len(printed) >= _LONGEST_KEY or len(printed.splitlines()) > 1):
        wrong = "printed more than one line. It must print the key alone"
    if wrong is not None:
        del printed
        raise ConfigurationError(f"{where}: api_key_command ({words[0]}) {wrong}.")
    return printed


def _read_output(words: list[str]) -> tuple[Secret, str | None]:
    """Run a command, and return the first characters that it prints, and what went wrong."""
    import subprocess
    import threading

    output: list[Secret] = []

    def read(stream: IO[bytes]) -> None:
        with stream:
            output.append(Secret(stream.read(_LONGEST_KEY + 1).decode("utf-8", "replace")))

    try:
        process = subprocess.Popen(  # noqa: S603 - the user's own command, from a file that only the user can change
            words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
    except (OSError, ValueError) as error:
        return Secret(), f"cannot be run: {getattr(error, 'strerror', None) or 'it has a null character'}"
    ends = time.monotonic() + _COMMAND_SECONDS
    # In a thread, because a child of the command may keep the pipe open, and a read with a limit needs no memory.
    reader = threading.Thread(target=read, args=(process.stdout,), daemon=True)
    try:
        reader.start()
        reader.join(_COMMAND_SECONDS)
        is_late = reader.is_alive()
        if not is_late and len(output[0]) <= _LONGEST_KEY:
            with suppress(subprocess.TimeoutExpired):
                process.wait(max(0.0, ends - time.monotonic()))
            is_late = process.returncode is None
    finally:
        code = process.poll()
        process.kill()
        process.wait()
    if is_late:
        late = f"did not end within {_COMMAND_SECONDS:g} seconds"
        return Secret(), late if code is None else "ended, but a program that it started keeps its output open"
    # A command that prints more than is read ends by the closed pipe: what it printed is what is wrong.
    if code and len(output[0]) <= _LONGEST_KEY:
        how = f"failed with exit code {code}" if code > 0 else f"was ended by signal {-code}"
        return Secret(), (
            f"{how}. Run it yourself to see why: its output is not shown here. It runs without a shell, so pipes and "
            'variables need ["sh", "-c", "..."]'
        )
    return Secret(output[0].strip()), None
