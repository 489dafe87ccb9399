"""Accounts: the users that all other domains refer to, and how they sign in.

Knows no other domain.
"""

from datalayer.domains.accounts.checks import CHECKS
from datalayer.domains.accounts.links import AuthAccounts
from datalayer.domains.accounts.model import (
    ENCRYPTED,
    AuthAccount,
    AuthSession,
    AuthVerification,
    OAuthTokens,
    OpenedSession,
    User,
)
from datalayer.domains.accounts.passwords import PasswordCost
from datalayer.domains.accounts.repository import Accounts
from datalayer.domains.accounts.signins import AuthSessions
from datalayer.domains.accounts.verifications import AuthVerifications

__all__ = [
    "CHECKS",
    "ENCRYPTED",
    "Accounts",
    "AuthAccount",
    "AuthAccounts",
    "AuthSession",
    "AuthSessions",
    "AuthVerification",
    "AuthVerifications",
    "OAuthTokens",
    "OpenedSession",
    "PasswordCost",
    "User",
]
