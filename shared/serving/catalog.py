"""Which datasets can be asked, and which release a name means: the ledger's rows, kept for a moment.

A process reads the row of a dataset every two seconds at most, however many callers there are, and goes on with the row
it has while storage does not answer. A new release, a sleep or a wake is noticed within seconds, without a restart.
"""

from __future__ import annotations

import asyncio
import difflib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from shared import naming
from shared.errors import NotFound
from shared.ledger.states import DatasetState
from shared.serving.cache import SingleFlightCache
from shared.serving.protocol import ApiError, ModelCard

if TYPE_CHECKING:
    from shared.ledger.listed import ListedDataset
    from shared.ledger.release import Release
    from shared.ledger.rows import Dataset
    from shared.runtime import Services

ROW_SECONDS = 2.0
# While storage does not answer, a row that was read is good for so long.
ROW_USABLE_SECONDS = 60.0
_FOR_EVER = 1e9
_NAMES_SHOWN = 3


@dataclass(frozen=True, slots=True)
class ModelTraits:
    """What is known of a release's base model: the roles its template has, and its context in tokens (0: unknown)."""

    roles: tuple[str, ...]
    context: int


@dataclass(frozen=True, slots=True)
class ChatTarget:
    """Who is to be asked: the dataset, and the release that is asked by name, if any."""

    row: Dataset
    pinned: Release | None = None

    @property
    def deployment(self) -> str:
        """The deployment to name, whatever the traffic says; empty: whoever has the traffic."""
        return self.pinned.deployment if self.pinned else ""

    @property
    def release(self) -> Release:
        """The release that answers, or most probably does."""
        found = self.pinned or self.row.live
        assert found is not None, "nobody is asked before there is a release"
        return found

    def may_answer(self) -> list[Release]:
        """The releases of which one will answer, those with most traffic first."""
        if self.pinned:
            return [self.pinned]
        shares = {release.deployment: self.row.traffic.get(release.deployment, 0) for release in _releases(self.row)}
        found = sorted(_releases(self.row), key=lambda release: -shares[release.deployment])
        return [release for release in found if shares[release.deployment] > 0] or [self.release]

    def release_of(self, deployment: str) -> str:
        """The snapshot whose release is behind a deployment."""
        of = {r.deployment: r.snapshot for r in _releases(self.row)}
        return of.get(deployment, self.release.snapshot)


class ModelCatalog:
    """What this process knows of datasets and releases."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._rows: SingleFlightCache[Dataset] = SingleFlightCache(self._read_row, ROW_SECONDS, ROW_USABLE_SECONDS)
        # What a snapshot was trained on does not change.
        self._traits: SingleFlightCache[ModelTraits] = SingleFlightCache(self._read_traits, _FOR_EVER, _FOR_EVER)

    async def find(self, model: str) -> ChatTarget:
        """The dataset of a name, and the release if the name has one after `@`. Raises ApiError (404)."""
        name, at, snapshot = model.partition("@")
        row = await self._known(name)
        if not at:
            return ChatTarget(row)
        there = [release for release in _releases(row) if row.can_be_asked(release)]
        pinned = next((release for release in there if release.snapshot == snapshot), None)
        if pinned is None:
            now = " or ".join(f"{name}@{release.snapshot}" for release in there)
            hint = f"; ask {now}" if now else ""
            raise ApiError(
                404, "model_not_found", f"{name} has no release {snapshot[:80]!r} deployed now{hint}", param="model"
            )
        return ChatTarget(row, pinned)

    async def traits(self, release: Release) -> ModelTraits:
        """What is known of a release's base model."""
        return await self._traits.get(release.snapshot)

    def forget(self, dataset: str) -> None:
        """Something is not as the row says: it is read anew for the next call."""
        self._rows.forget(dataset)

    async def models(self) -> list[ModelCard]:
        """Every dataset whose model can be asked, in the order of names."""
        found = await asyncio.to_thread(self._services.ledger.datasets)
        return [_listed_model(row) for row in found if row.live and row.state != DatasetState.DELETING]

    async def model(self, model: str) -> ModelCard:
        """One of them. Raises ApiError (404)."""
        target = await self.find(model)
        if target.row.live is None:
            raise ApiError(404, "model_not_found", f"{target.row.name} has no release yet", param="model")
        found = _model(target.row)
        pinned = target.pinned
        return found if pinned is None else found.model_copy(update={"id": model, "api": pinned.api})

    async def _known(self, name: str) -> Dataset:
        try:
            if not naming.DATASET.fullmatch(name):
                raise NotFound(name)
            row = await self._rows.get(name)
            if row.state == DatasetState.DELETING:
                raise NotFound(name)
            return row
        except NotFound as error:
            near = await asyncio.to_thread(self._near, name)
            text = f"there is no dataset {name[:60]!r}{near}; GET /api/v1/models lists what there is"
            raise ApiError(404, "model_not_found", text, param="model") from error

    async def _read_row(self, name: str) -> Dataset:
        kept = await asyncio.to_thread(self._services.ledger.read, f"dataset/{name}")
        row: Dataset = kept.row
        return row

    async def _read_traits(self, snapshot: str) -> ModelTraits:
        from shared.chatdata.templates import ANY, template_of

        try:
            row: Any = (await asyncio.to_thread(self._services.ledger.read, f"snapshot/{snapshot}")).row
        except NotFound:
            return ModelTraits(ANY.roles, self._services.settings.validation_context_tokens)
        roles = template_of(row.base_model.name).roles if row.base_model else ANY.roles
        return ModelTraits(roles, self._services.settings.validation_context_tokens or row.context_tokens)

    def _names(self) -> list[str]:
        return [found.name for found in self._services.ledger.list("dataset")]

    def _near(self, name: str) -> str:
        near = difflib.get_close_matches(name[:60], self._names(), n=_NAMES_SHOWN, cutoff=0.5)
        return f"; did you mean {' or '.join(near)}?" if near else ""


def is_up(row: Dataset) -> bool:
    """Whether the live release can be asked now."""
    return row.live is not None and bool(row.scoring_uri) and row.state_of_live == DatasetState.LIVE


def _releases(row: Dataset) -> list[Release]:
    return [release for release in (row.live, row.candidate, row.previous) if release and release.deployment]


def _model(row: Dataset) -> ModelCard:
    there = [f"{row.name}@{r.snapshot}" for r in _releases(row) if row.can_be_asked(r)]
    api = row.live.api if row.live else ""
    return ModelCard(id=row.name, created=int(row.since), state=str(row.state), api=api, releases=there)


def _listed_model(row: ListedDataset) -> ModelCard:
    there = [f"{row.name}@{snapshot}" for snapshot in row.askable]
    return ModelCard(id=row.name, created=int(row.since), state=row.state, api=row.api, releases=there)
