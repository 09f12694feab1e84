"""The app's HTTP routes as the commands use them. Every failure comes out as CommandFailed, with a next step."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Self

from cli.failures import CommandFailed, Exit
from shared import naming

if TYPE_CHECKING:
    import httpx

    from cli.target import Target

# A status answer takes milliseconds; a process that has just been started takes seconds.
_SECONDS = 60.0


# The most that the app lists on one page.
MOST_LISTED = "200"
_LISTS = "; `droptune ls` shows what there is"


class AppClient:
    """A client of one running app; use it as a context manager."""

    def __init__(self, target: Target) -> None:
        import httpx

        self.target = target
        self.http = httpx.Client(
            base_url=f"{target.app}/api/",
            headers={"x-functions-key": target.key, "authorization": f"Bearer {target.key}"},
            timeout=_SECONDS,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.http.close()

    def get(self, path: str, **query: str) -> Any:
        """The JSON of a route. Raises CommandFailed."""
        return self.send("GET", path, **query)

    def post(self, path: str, body: Any = None, **query: str) -> Any:
        """Asks for something to be done; the JSON of the answer. Raises CommandFailed, also when it is declined."""
        return self.send("POST", path, body, **query)

    def send(self, method: str, path: str, body: Any = None, **query: str) -> Any:
        """The same with any method. A value of the query that is empty is not sent. Raises CommandFailed."""
        import httpx

        given = {name: value for name, value in query.items() if value}
        try:
            response = self.http.request(method, path, params=given, json=body)
        except httpx.HTTPError as error:
            raise self.unreachable(error) from error
        raise_for(response)
        return response.json()

    def unreachable(self, error: Exception) -> CommandFailed:
        """What to say when nothing answers."""
        start = (
            "is the local cloud up? `make status` shows it, `make up` starts it" if self.target.local else "try later"
        )
        return CommandFailed(Exit.UNREACHABLE, f"{self.target.app} does not answer ({type(error).__name__}): {start}")

    # -- names ------------------------------------------------------------------------------------

    def snapshots(self, dataset: str = "") -> list[dict[str, Any]]:
        """The newest snapshots, newest first; of one dataset, if it is named."""
        found: list[dict[str, Any]] = self.get("snapshots", limit=MOST_LISTED, dataset=dataset)["snapshots"]
        return found

    def snapshot_id(self, name: str) -> str:
        """The snapshot that is meant: by its id, by the beginning of one, or by a dataset's name for its newest.

        Raises CommandFailed with the nearest names when there is none, or more than one.
        """
        if naming.SNAPSHOT_ID.fullmatch(name):
            return name
        if naming.DATASET.fullmatch(name) and (of_dataset := self.snapshots(name)):
            return str(of_dataset[0]["id"])
        listed = [str(row["id"]) for row in self.snapshots()]
        begun = [one for one in listed if one.startswith(name)]
        if len(begun) == 1:
            return begun[0]
        if begun:
            some = ", ".join(begun[:5]) + (", ..." if len(begun) > 5 else "")
            raise CommandFailed(Exit.NOT_FOUND, f"{name} is the beginning of {len(begun)} snapshots: {some}")
        known = {one for id_ in listed for one in (id_, naming.dataset_of(id_) or id_)}
        raise CommandFailed(Exit.NOT_FOUND, f"there is no snapshot or dataset {name}{nearest(name, known)}")

    def dataset_name(self, name: str) -> str:
        """The dataset that is meant: by its name, or by the id of one of its snapshots."""
        return naming.dataset_of(name) or name


def nearest(name: str, known: Iterable[str]) -> str:
    """What to add to an error about a name that is unknown."""
    found = difflib.get_close_matches(name, sorted(known), n=1, cutoff=0.6)
    return f"; did you mean {found[0]}?" if found else _LISTS


def raise_for(response: httpx.Response) -> None:
    """Raises CommandFailed for an answer that is an error, in the app's own words."""
    if response.is_success:
        return
    said = _message(response)
    match response.status_code:
        case 400 | 422:  # a value of the command line that the app does not know
            raise CommandFailed(Exit.USAGE, said or "the app does not take that")
        case 403 if said:  # the app's own words: a setting does not allow it
            raise CommandFailed(Exit.NO_ACCESS, said)
        case 401 | 403:
            text = (
                "the key was refused: DROPTUNE_KEY must be a function key of the app (to ask models: of SCORING_KEYS)"
            )
            where = "; `az functionapp keys list --name <app> --resource-group <group>` has them"
            raise CommandFailed(Exit.NO_ACCESS, text + where)
        case 404:
            raise CommandFailed(Exit.NOT_FOUND, _for_a_terminal(said) or f"there is nothing of that name{_LISTS}")
        case 429 | 502 | 503 | 504:
            again = response.headers.get("Retry-After", "")
            wait = f"; try again in {again} s" if re.fullmatch(r"\d+", again) else "; try again later"
            raise CommandFailed(Exit.UNREACHABLE, f"{said or f'HTTP {response.status_code}'}{wait}")
    raise CommandFailed(Exit.FAILED, said or f"HTTP {response.status_code} from {response.url.path}")


def _for_a_terminal(said: str) -> str:
    """What the app said, with commands in place of the routes at its end."""
    return re.sub(
        r"; GET /api/\S+ list.*$", _LISTS, said.replace("GET /api/snapshots/{id} says", "`droptune show` says")
    )


def _message(response: httpx.Response) -> str:
    try:
        return str(response.json()["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return ""
