"""Providers of models: which there are, what each user signs in with, and sign-ins that are under way.

Knows no other domain.
"""

from datalayer.domains.providers.checks import CHECKS
from datalayer.domains.providers.credentials import ProviderCredentials
from datalayer.domains.providers.flows import OAuthStates
from datalayer.domains.providers.model import (
    ENCRYPTED,
    Credential,
    DeviceFlow,
    FinishedRedirect,
    OAuthState,
    Provider,
    ProviderCredential,
    ProviderTokens,
    StartedRedirect,
)
from datalayer.domains.providers.repository import Providers

__all__ = [
    "CHECKS",
    "ENCRYPTED",
    "Credential",
    "DeviceFlow",
    "FinishedRedirect",
    "OAuthState",
    "OAuthStates",
    "Provider",
    "ProviderCredential",
    "ProviderCredentials",
    "ProviderTokens",
    "Providers",
    "StartedRedirect",
]
