"""`droptune prices` against a server that answers as Azure's public price list does.

Assumptions: `retail-prices`.
"""

from __future__ import annotations

import json
import re
import shlex
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

import pytest
from typer.testing import CliRunner, Result

from cli.__main__ import app
from cli.failures import Exit
from shared.config.settings import Settings
from tests.fakes import GPU

_PAGE = 2
LINUX = {
    "currencyCode": "USD",
    "tierMinimumUnits": 0.0,
    "retailPrice": 3.673,
    "unitPrice": 3.673,
    "armRegionName": "westeurope",
    "location": "EU West",
    "effectiveStartDate": "2022-05-01T00:00:00Z",
    "meterName": "NC24ads A100 v4",
    "productName": "Virtual Machines NCads A100 v4 Series",
    "skuName": "NC24ads A100 v4",
    "serviceName": "Virtual Machines",
    "serviceFamily": "Compute",
    "unitOfMeasure": "1 Hour",
    "type": "Consumption",
    "isPrimaryMeterRegion": True,
    "armSkuName": GPU,
}
# As the list has them for one size: what runs Windows, may be taken away, is for tests, or is paid for years.
OTHERS = [
    {**LINUX, "retailPrice": 4.8, "productName": "Virtual Machines NCads A100 v4 Series Windows"},
    {**LINUX, "retailPrice": 4.7, "productName": "Virtual Machines NCads A100 v4 Srs Win"},
    {**LINUX, "retailPrice": 0.7, "skuName": "NC24ads A100 v4 Spot", "meterName": "NC24ads A100 v4 Spot"},
    {**LINUX, "retailPrice": 0.7, "skuName": "NC24ads A100 v4 Low Priority"},
    {**LINUX, "retailPrice": 3.1, "type": "DevTestConsumption"},
    {**LINUX, "retailPrice": 21_000.0, "type": "Reservation", "reservationTerm": "1 Year"},
    {**LINUX, "retailPrice": 3.5, "effectiveStartDate": "2021-01-01T00:00:00Z"},
    {**LINUX, "retailPrice": 9.9, "effectiveStartDate": "2999-01-01T00:00:00Z"},
    {**LINUX, "retailPrice": 3.9, "armRegionName": "northeurope"},
    {**LINUX, "retailPrice": 1.9, "armSkuName": "Standard_NC6s_v3"},
    {**LINUX, "retailPrice": 0.0},
]
_FIELDS = {"priceType": "type"}


class PriceList:
    """The list: its items, how it was asked, and what it answers instead of a page."""

    def __init__(self) -> None:
        self.items: list[dict[str, Any]] = [*OTHERS, LINUX]
        self.asked: list[dict[str, str]] = []
        self.status, self.body, self.next_host = 200, "", ""

    def page(self, path: str, host: str) -> tuple[int, str]:
        """The answer to a query, as the service gives it: filters are compared by case, pages link to each other."""
        query = {name: values[0] for name, values in parse_qs(urlsplit(path).query).items()}
        self.asked.append(query)
        if self.status != 200 or self.body:
            return self.status, self.body
        wanted = re.findall(r"(\w+) eq '([^']*)'(?: and )?", query["$filter"])
        currency, skip = query["currencyCode"].strip("'"), int(query.get("$skip", 0))
        items = [
            {**item, "currencyCode": currency}
            for item in self.items
            if all(item[_FIELDS.get(name, name)] == value for name, value in wanted)
        ]
        more = len(items) > skip + _PAGE
        text = "&".join(f"{quote(name)}={quote(query[name])}" for name in ("currencyCode", "$filter"))
        link = f"http://{self.next_host or host}{urlsplit(path).path}?{text}&$skip={skip + _PAGE}" if more else None
        page = {"BillingCurrency": currency, "Items": items[skip : skip + _PAGE], "NextPageLink": link}
        return 200, json.dumps({**page, "CustomerEntityId": "Default", "Count": len(page["Items"] or [])})


@pytest.fixture
def price_list() -> PriceList:
    return PriceList()


@pytest.fixture
def address(price_list: PriceList) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, text = price_list.page(self.path, self.headers["host"])
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/api/retail/prices"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture(autouse=True)
def _nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("PRICES", "CURRENCY", "TRAINING_INSTANCE_TYPE", "SERVING_INSTANCE_TYPE", "AZURE_LOCATION"):
        monkeypatch.delenv(name, raising=False)


def ask(address: str, *arguments: str) -> Result:
    return CliRunner().invoke(app, ["prices", "--address", address, *arguments])


def test_the_price_of_the_sizes_that_are_set_is_printed_as_settings(address: str, price_list: PriceList) -> None:
    found = ask(address, "--region", "westeurope", "--name", "my app", "--group", "rg")
    assert found.exit_code == 0, found.output
    assert f'PRICES={{"{GPU}": 3.673}}' in found.stdout.splitlines()
    assert "CURRENCY=USD" in found.stdout.splitlines()
    (line,) = [line for line in found.stdout.splitlines() if line.startswith("in Azure: ")]
    words = shlex.split(line.removeprefix("in Azure: "))
    assert words[:4] == ["az", "functionapp", "config", "appsettings"]
    assert words[words.index("--name") + 1] == "my app"
    assert f'PRICES={{"{GPU}": 3.673}}' in words, "a shell gives az what the app is to have"
    assert {query["$filter"] for query in price_list.asked} == {
        f"serviceName eq 'Virtual Machines' and armRegionName eq 'westeurope' and armSkuName eq '{GPU}'"
        " and priceType eq 'Consumption'"
    }


def test_the_app_of_the_settings_is_not_taken_for_the_one_that_commands_talk_to(address: str) -> None:
    refused = ask(address, "--region", "westeurope", "--app", "https://my-app.azurewebsites.net")
    assert (refused.exit_code, "--name takes the app's name" in refused.stderr) == (Exit.USAGE, True)
    assert "--name my-app " in ask(address, "--region", "westeurope", "--app", "my-app").stdout, (
        "as it was called before"
    )


def test_sizes_currency_and_region_can_be_chosen(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZURE_LOCATION", "westeurope")
    found = ask(address, "--size", "Standard_NC6s_v3", "--size", GPU, "--currency", "eur", "--json")
    assert json.loads(found.stdout) == {
        "region": "westeurope",
        "currency": "EUR",
        "prices": {"Standard_NC6s_v3": 1.9, GPU: 3.673},
        "missing": [],
    }


def test_prices_are_written_beside_what_is_set_and_a_second_time_the_same(address: str, tmp_path: Path) -> None:
    file = tmp_path / "local.settings.json"
    values = {"TRAINING_INSTANCE_TYPE": "Standard_NC6s_v3", "PRICES": '{"Standard_X": 1.0}', "DATA": "x"}
    file.write_text(json.dumps({"IsEncrypted": False, "Values": values, "Host": {"CORS": "*"}}))
    file.chmod(0o600)
    for _ in range(2):
        assert ask(address, "--region", "westeurope", "--write").exit_code == 0
        written = json.loads(file.read_text())
        assert json.loads(written["Values"].pop("PRICES")) == {"Standard_X": 1.0, "Standard_NC6s_v3": 1.9, GPU: 3.673}
        assert written["Values"].pop("CURRENCY") == "USD"
        assert written["Values"] == {name: value for name, value in values.items() if name != "PRICES"}
        assert written["Host"] == {"CORS": "*"}
    assert file.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in tmp_path.iterdir()] == [file.name]


def test_what_is_printed_is_what_the_settings_take(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DATA", "AZURE_SUBSCRIPTION_ID", "AZURE_RESOURCE_GROUP", "AZUREML_WORKSPACE"):
        monkeypatch.setenv(name, "x")
    for line in ask(address, "--region", "westeurope").stdout.splitlines():
        name, is_setting, value = line.partition("=")
        if is_setting and name in ("PRICES", "CURRENCY"):
            monkeypatch.setenv(name, value)
    assert Settings().price_of(GPU.lower()) == 3.673
    assert Settings().currency == "USD"


def test_a_size_without_a_price_is_named_and_the_others_are_told(address: str) -> None:
    found = ask(address, "--region", "westeurope", "--size", GPU, "--size", "Standard_NC24ads_A100_v9")
    assert found.exit_code == 1
    assert "no price of Standard_NC24ads_A100_v9 in westeurope" in found.stdout
    assert f'PRICES={{"{GPU}": 3.673}}' in found.stdout


@pytest.mark.parametrize(
    ("arguments", "status", "says"),
    [
        ([], 2, "AZURE_LOCATION"),
        (["--region", "west' or 1 eq 1"], 2, "no name of a size or a region"),
        (["--region", "westeurope", "--write"], 3, "there is no local.settings.json"),
    ],
)
def test_what_cannot_be_asked_is_said(address: str, arguments: list[str], status: int, says: str) -> None:
    found = ask(address, *arguments)
    assert (found.exit_code, says in found.stderr) == (status, True), found.stderr


@pytest.mark.parametrize(
    ("http", "body", "status", "says"),
    [
        (429, "{}", 5, "answers 429: try later"),
        (200, "<html>", 1, "does not answer as a price list does"),
        (200, "[]", 1, "does not answer as a price list does"),
        (200, '{"Error": {"Code": "BadRequest"}}', 1, "does not answer as a price list does"),
    ],
)
def test_an_answer_that_is_no_list_is_said(
    address: str, price_list: PriceList, http: int, body: str, status: int, says: str
) -> None:
    price_list.status, price_list.body = http, body
    found = ask(address, "--region", "westeurope")
    assert (found.exit_code, says in found.stderr) == (status, True), found.stderr


def test_a_list_that_goes_on_elsewhere_is_not_followed(address: str, price_list: PriceList) -> None:
    price_list.next_host = "elsewhere.example.net"
    found = ask(address, "--region", "westeurope")
    assert (found.exit_code, "another address" in found.stderr) == (1, True)


def test_a_list_that_does_not_answer_is_said() -> None:
    found = ask("http://127.0.0.1:9/api/retail/prices", "--region", "westeurope")
    assert (found.exit_code, "does not answer (ConnectError)" in found.stderr) == (5, True)


@pytest.mark.parametrize("text", ["{", '{"Values": []}', "[]"])
def test_settings_that_cannot_be_read_are_said(address: str, tmp_path: Path, text: str) -> None:
    (tmp_path / "local.settings.json").write_text(text)
    found = ask(address, "--region", "westeurope")
    assert (found.exit_code, "local.settings.json is not what it should be" in found.stderr) == (2, True)
