"""Which Azure the app is in: the public cloud, or a national one with addresses of its own.

The setting `RESOURCE_MANAGER` says it; everything else that differs follows from it. An address that is none of these
is that of an emulator, which tells the SDK its other addresses itself.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class AzureCloud:
    """One cloud: its control plane, who signs people in, and the domain of Azure Monitor's metrics.

    `name` is what the SDK of Azure ML calls it; empty: the SDK finds out by itself.
    """

    resource_manager: str
    name: str = ""
    authority: str = "login.microsoftonline.com"
    metrics: str = "metrics.monitor.azure.com"


PUBLIC = AzureCloud("https://management.azure.com")
NATIONAL = (
    AzureCloud(
        "https://management.usgovcloudapi.net",
        name="AzureUSGovernment",
        authority="login.microsoftonline.us",
        metrics="metrics.monitor.azure.us",
    ),
    AzureCloud(
        "https://management.chinacloudapi.cn",
        name="AzureChinaCloud",
        authority="login.chinacloudapi.cn",
        metrics="metrics.monitor.azure.cn",
    ),
)


def cloud_at(resource_manager: str) -> AzureCloud:
    """The cloud whose control plane has this address."""
    address = resource_manager.rstrip("/").lower()
    known = {cloud.resource_manager: cloud for cloud in (PUBLIC, *NATIONAL)}
    return known.get(address) or AzureCloud(resource_manager.rstrip("/"))
