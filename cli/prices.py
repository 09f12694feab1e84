"""`droptune prices`: what the machines of the settings cost by Azure's public price list, as settings to take over.

The list needs no sign-in. It has many prices of one size: with Windows, for machines that may be taken away, for tests,
by reservation. Taken is the one of an hour of a Linux machine that is paid as it runs, which is what Azure ML charges.
Asking changes nothing; writing the settings twice writes the same.
"""

from __future__ import annotations

import json
import os
import shlex
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from cli import printing
from cli.failures import CommandFailed, Exit
from shared.config.settings import Settings

ADDRESS = "https://prices.azure.com/api/retail/prices"
FILE = "local.settings.json"
_USED = ("TRAINING_INSTANCE_TYPE", "SERVING_INSTANCE_TYPE")
_SECONDS, _MOST_PAGES = 30.0, 20
_NOT_OURS = ("windows", " win", "spot", "low priority", "cloudservices")


def prices(
    sizes: Sequence[str],
    region: str,
    currency: str,
    *,
    address: str = ADDRESS,
    write: bool = False,
    app: str = "",
    group: str = "",
    as_json: bool = False,
) -> Exit:
    """Prints the settings for these sizes, or for those that are set; with `write` puts them into local.settings.json.

    Raises CommandFailed. The status is FAILED where the list has no price of a size.
    """
    if not region:
        raise CommandFailed(
            Exit.USAGE, "--region: the region of the workspace, such as westeurope, or set AZURE_LOCATION"
        )
    known = _known(Path(FILE))
    wanted = list(dict.fromkeys(sizes or _sizes(known)))
    found = ask(address, wanted, region, currency)
    missing = [size for size in wanted if size not in found]
    every = {**_prices_set(known), **found}
    if found and write:
        _write(Path(FILE), {"PRICES": json.dumps(every), "CURRENCY": currency})
    if as_json:
        printing.print_json({"region": region, "currency": currency, "prices": found, "missing": missing})
    else:
        _print(every if found else {}, currency, region, app, group, write)
        for size in missing:
            printing.print_line(f"the list has no price of {size} in {region}: is the size, or the region, misspelt?")
    return Exit.FAILED if missing else Exit.DONE


def ask(address: str, sizes: Iterable[str], region: str, currency: str) -> dict[str, float]:
    """The price of an hour of each size that the list has one of. Raises CommandFailed."""
    import httpx

    found: dict[str, float] = {}
    with httpx.Client(timeout=_SECONDS) as client:
        for size in sizes:
            for text in (size, region):
                if "'" in text:
                    raise CommandFailed(Exit.USAGE, f"{text!r} is no name of a size or a region")
            items = _items(client, address, size, region, currency)
            if (price := _price(items, currency)) is not None:
                found[size] = price
    return found


def _items(client: Any, address: str, size: str, region: str, currency: str) -> list[Mapping[str, Any]]:
    """Everything that the list has of a size in a region, page after page."""
    wanted = {
        "serviceName": "Virtual Machines",
        "armRegionName": region,
        "armSkuName": size,
        "priceType": "Consumption",
    }
    text = " and ".join(f"{name} eq '{value}'" for name, value in wanted.items())
    page = _page(client, address, {"currencyCode": f"'{currency}'", "$filter": text})
    items = [*page["Items"]]
    for _ in range(_MOST_PAGES):
        following = page.get("NextPageLink")
        if not following:
            return items
        if urlsplit(following)[:2] != urlsplit(address)[:2]:
            raise CommandFailed(Exit.FAILED, f"the price list goes on at another address: {following[:80]}")
        page = _page(client, following, None)
        items += page["Items"]
    raise CommandFailed(Exit.FAILED, f"the price list has more than {_MOST_PAGES} pages for {size}: that cannot be")


def _page(client: Any, address: str, query: Mapping[str, str] | None) -> Any:
    import httpx

    try:
        response = client.get(address, params=query)
        response.raise_for_status()
        page = response.json()
        if not isinstance(page.get("Items"), list):
            raise ValueError("no Items")
    except httpx.HTTPStatusError as error:
        raise CommandFailed(
            Exit.UNREACHABLE, f"the price list answers {error.response.status_code}: try later"
        ) from error
    except httpx.HTTPError as error:
        raise CommandFailed(
            Exit.UNREACHABLE, f"{address} does not answer ({type(error).__name__}): try later"
        ) from error
    except (ValueError, AttributeError) as error:
        raise CommandFailed(Exit.FAILED, f"{address} does not answer as a price list does ({error})") from error
    return page


def _price(items: Iterable[Mapping[str, Any]], currency: str) -> float | None:
    """The price of an hour as it runs: the newest that counts by now, and of several the highest."""
    now = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
    ours = [
        (str(item.get("effectiveStartDate", "")), float(item["retailPrice"]))
        for item in items
        if item.get("type") == "Consumption"
        and item.get("unitOfMeasure") == "1 Hour"
        and item.get("currencyCode", currency) == currency
        and not any(word in _names(item) for word in _NOT_OURS)
        and item.get("retailPrice")
        and str(item.get("effectiveStartDate", "")) <= now
    ]
    newest = max((since for since, _ in ours), default="")
    return max((price for since, price in ours if since == newest), default=None)


def _names(item: Mapping[str, Any]) -> str:
    return " ".join(str(item.get(name, "")) for name in ("productName", "skuName", "meterName")).lower()


def _known(file: Path) -> dict[str, str]:
    """What is set: in the environment, else in local.settings.json. Raises CommandFailed for a file that is none."""
    try:
        values = json.loads(file.read_text("utf-8"))["Values"] if file.is_file() else {}
        return {**{name: str(value) for name, value in values.items()}, **os.environ}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CommandFailed(Exit.USAGE, f"{file} is not what it should be: {error!r}") from error


def _sizes(known: Mapping[str, str]) -> list[str]:
    fields = Settings.model_fields
    return [known.get(name) or str(fields[name.lower()].default) for name in _USED]


def _prices_set(known: Mapping[str, str]) -> dict[str, float]:
    """The prices that are set already: those of other sizes stay. Raises CommandFailed."""
    try:
        return {str(size): float(price) for size, price in json.loads(known.get("PRICES") or "{}").items()}
    except (ValueError, TypeError, AttributeError) as error:
        raise CommandFailed(Exit.USAGE, f"PRICES is set and is no JSON object of prices by size: {error}") from error


def _print(prices: Mapping[str, float], currency: str, region: str, app: str, group: str, written: bool) -> None:
    if not prices:
        return
    text = json.dumps(prices)
    printing.print_line(f"# an hour of a machine in {region}, by the public list; your contract may have other prices")
    printing.print_line(f"PRICES={text}")
    printing.print_line(f"CURRENCY={currency}")
    if written:
        printing.print_line(f"written to {FILE}")
    where = f"--name {shlex.quote(app or '<app>')} --resource-group {shlex.quote(group or '<group>')}"
    settings = f"{shlex.quote(f'PRICES={text}')} CURRENCY={shlex.quote(currency)}"
    printing.print_line(f"in Azure: az functionapp config appsettings set {where} --settings {settings}")


def _write(file: Path, values: Mapping[str, str]) -> None:
    """Puts values into the file's own, in one step. Raises CommandFailed where there is no such file."""
    if not file.is_file():
        raise CommandFailed(Exit.NOT_FOUND, f"there is no {file} here: run this in the checkout")
    whole = json.loads(file.read_text("utf-8"))
    whole["Values"] |= values
    with tempfile.NamedTemporaryFile(
        "w", dir=file.parent, prefix=f".{file.name}.", delete=False, encoding="utf-8"
    ) as new:
        new.write(json.dumps(whole, indent=2, ensure_ascii=False) + "\n")
    Path(new.name).chmod(file.stat().st_mode & 0o777)
    Path(new.name).replace(file)
