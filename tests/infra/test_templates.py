"""`infra/` is Bicep that Azure would take; each proof is also seen to find a mistake that was planted in a copy."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.infra import proofs
from tests.infra.bicep import read

INFRA = Path(__file__).parents[2] / "infra"
PROOFS = (proofs.both_parsers, proofs.names, proofs.types, proofs.parameters)


@pytest.mark.parametrize("proof", PROOFS, ids=lambda proof: proof.__name__)
def test_the_templates_hold(proof: proofs.Proof) -> None:
    assert proof(INFRA) == []


PLANTED = [
    # what it is, the proof, the file, what is replaced, by what, the complaint
    ("a missing brace", proofs.both_parsers, "modules/vault.bicep", "resource vault ", "resource vault {", "tree-sitter"),
    ("a wrong quote", proofs.both_parsers, "modules/vault.bicep", "'standard'", '"standard"', "pycep: vault.bicep"),
    ("an equals sign", proofs.both_parsers, "modules/vault.bicep", "family: 'A'", "family = 'A'", "tree-sitter"),
    ("two statements on a line", proofs.both_parsers, "modules/app.bicep", "location\n  tags: tags", "location tags: tags",
     "app.bicep:23: two statements on a line: location: location tags: tags"),
    ("a name that is not declared", proofs.names, "modules/droptune.bicep", "hostStorage.outputs.codeUri",
     "hostStorag.outputs.codeUri", "hostStorag is not declared (did you mean hostStorage?)"),
    ("an output that is not there", proofs.names, "modules/droptune.bicep", "dataStorage.outputs.queueUri",
     "dataStorage.outputs.queueUrl", "data-storage.bicep has no output queueUrl, but accountId, blobUri, queueUri"),
    ("a parameter that is not there", proofs.names, "modules/droptune.bicep", "codeUri: hostStorage", "codeUrl: hostStorage",
     "app.bicep has no parameter codeUrl"),
    ("a parameter that is missing", proofs.names, "modules/droptune.bicep", "    planName: 'droptune-plan-${token}'\n", "",
     "app.bicep needs the parameter planName"),
    ("a text for a number", proofs.names, "modules/droptune.bicep", "instanceMemory: instanceMemory",
     "instanceMemory: token", "instanceMemory of app.bicep is a int; given is string"),
    ("a parameter nobody reads", proofs.names, "modules/vault.bicep", "location: location", "location: 'westeurope'",
     "location is declared and not used"),
    ("a name declared twice", proofs.names, "modules/vault.bicep", "param tags object", "param tags object\nvar tags = {}",
     "tags is declared twice"),
    ("a module without its file", proofs.names, "main.bicep", "modules/identities.bicep", "modules/identity.bicep",
     "there is no file modules/identity.bicep"),
    ("a module at the wrong scope", proofs.names, "main.bicep", "  name: 'identities'\n  scope: resourceGroup(groupName)\n",
     "  name: 'identities'\n", "identities.bicep is for the scope resourceGroup, and is deployed at subscription"),
    ("a misspelt property", proofs.types, "modules/app.bicep", "instanceMemoryMB:", "instanceMemoryMb:",
     "there is no such property (did you mean instanceMemoryMB?)"),
    ("a version that was never published", proofs.types, "modules/app.bicep", "Microsoft.Web/sites@2024-11-01'",
     "Microsoft.Web/sites@2024-11-31'", "no published version 2024-11-31: known is 2024-11-01"),
    ("a type that is not there", proofs.types, "modules/vault.bicep", "Microsoft.KeyVault/vaults@", "Microsoft.KeyVault/vault@",
     "did you mean Microsoft.KeyVault/vaults?"),
    ("a value of no list", proofs.types, "modules/data-storage.bicep", "'StorageV2'", "'StorageV3'",
     "account.kind: 'StorageV3' is none of Storage, StorageV2"),
    ("the identity of another provider", proofs.types, "modules/app.bicep", "type: 'UserAssignedIdentity'",
     "type: 'UserAssigned'", "'UserAssigned' is none of SystemAssignedIdentity, UserAssignedIdentity"),
    ("a text for yes", proofs.types, "modules/app.bicep", "reserved: true", "reserved: 'yes'",
     "plan.properties.reserved: expected bool, found 'yes'"),
    ("a number for a text", proofs.types, "modules/app.bicep", "version: '3.13'", "version: 3", "expected string, found 3"),
    ("a parameter of the wrong type", proofs.types, "modules/app.bicep", "serverFarmId: plan.id", "serverFarmId: alwaysReady",
     "app.properties.serverFarmId: expected string, found int (alwaysReady)"),
    ("a required property that is missing", proofs.types, "modules/host-storage.bicep",
     "  kind: 'StorageV2'\n", "", "account: kind is required"),
    ("a property that only the service writes", proofs.types, "modules/app.bicep", "httpsOnly: true",
     "state: 'Running'", "app.properties.state: only the service writes it"),
    ("a kind that is not there", proofs.types, "modules/training.bicep", "credentialsType: 'None'",
     "credentialsType: 'Nothing'", "'Nothing' is none of None"),
    ("a property read that is not there", proofs.types, "modules/vault.bicep", "vault.properties.vaultUri",
     "vault.properties.vaultUrl", "has no vault.properties.vaultUrl"),
    ("a site in a template for subscriptions", proofs.types, "main.bicep", "var token =",
     "resource site 'Microsoft.Web/sites@2024-11-01' = {\n  name: 'x'\n  location: location\n}\n\nvar token =",
     "Microsoft.Web/sites@2024-11-01 is for ResourceGroup, and this file is for subscription"),
    ("a parameter that the file lacks", proofs.parameters, "main.parameters.json", '"alwaysReady"', '"allwaysReady"',
     "main.bicep has no parameter allwaysReady"),
    ("a default that is another one", proofs.parameters, "main.parameters.json", "DROPTUNE_INSTANCE_MEMORY=2048",
     "DROPTUNE_INSTANCE_MEMORY=512", "the default of instanceMemory is '512', in main.bicep '2048'"),
    ("a truth that is none", proofs.parameters, "main.parameters.json", "DROPTUNE_NOTIFICATIONS=false",
     "DROPTUNE_NOTIFICATIONS=no", "notifications is a bool, its default is 'no'"),
]  # fmt: skip


@pytest.mark.parametrize(("proof", "file", "old", "new", "complaint"), [row[1:] for row in PLANTED],
                         ids=[row[0] for row in PLANTED])  # fmt: skip
def test_a_planted_mistake_is_found(
    proof: proofs.Proof, file: str, old: str, new: str, complaint: str, tmp_path: Path
) -> None:
    folder = proofs.planted(INFRA, tmp_path, file, old, new, times=1)
    assert complaint in "\n".join(proof(folder))


def test_every_type_that_is_known_is_used() -> None:
    """What nobody uses would be kept for nothing, and checked by nobody."""
    used = {resource.what for path in proofs.files(INFRA) for resource in read(path).resources.values()}
    # The hook makes subscriptions itself; what it sends is held to the same types.
    used.add("Microsoft.EventGrid/systemTopics/eventSubscriptions@2025-02-15")
    assert used == set(proofs.TYPES)


@pytest.mark.skipif(shutil.which("bicep") is None, reason="no Bicep compiler on PATH: it runs on GitHub")
def test_the_real_compiler_has_no_complaint(tmp_path: Path) -> None:
    done = subprocess.run(
        ["bicep", "build", INFRA / "main.bicep", "--outdir", tmp_path], capture_output=True, text=True
    )
    assert (done.returncode, done.stderr.strip()) == (0, "")
