"""Lists, events and the administration of workspaces, as the database accepts it whatever is drawn."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime, timedelta
from decimal import Decimal

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from datalayer.domains.workspaces import (
    AdminUser,
    AiProvider,
    AiUsage,
    AuditEntry,
    CostBudget,
    DailyLogSummary,
    EventParticipant,
    HostedEvent,
    ImportFailure,
    ImportSession,
    ListItem,
    ListMember,
    SharedList,
    SystemSetting,
)
from datalayer.repository.fields import new_id
from datalayer.store import Store
from datalayer.testing.strategies.values import amounts, json_documents, moments, texts

__all__ = [
    "admin_users",
    "ai_providers",
    "ai_usages",
    "audit_entries",
    "cost_budgets",
    "daily_log_summaries",
    "event_participants",
    "hosted_events",
    "import_failures",
    "import_sessions",
    "list_items",
    "list_members",
    "make_event",
    "make_list",
    "shared_lists",
    "system_settings",
]

_MOST = Decimal(10**9)
_COUNTS = st.integers(0, 2**40)


def shared_lists(*, owner_id: str, workspace_id: str | None = None) -> SearchStrategy[SharedList]:
    """Give lists without items or members."""
    return st.builds(
        SharedList,
        id=st.builds(new_id),
        owner_id=st.just(owner_id),
        workspace_id=st.just(workspace_id),
        name=_names(),
        description=texts(),
        archived=st.booleans(),
    )


@st.composite
def list_items(draw: DrawFn, *, list_id: str, added_by: str | None = None) -> ListItem:
    """Give items of a list, ticked off or not."""
    completed = draw(st.booleans())
    return ListItem(
        id=new_id(),
        list_id=list_id,
        added_by=added_by,
        content=draw(_names()),
        position=draw(st.integers(0, 1_000)),
        completed=completed,
        completed_at=draw(moments()) if completed else None,
    )


def list_members(*, list_id: str, user_id: str) -> SearchStrategy[ListMember]:
    """Give memberships; a list takes each user once."""
    return st.builds(
        ListMember,
        id=st.builds(new_id),
        list_id=st.just(list_id),
        user_id=st.just(user_id),
        role=st.sampled_from(["editor", "viewer"]),
        delivery_preference=st.sampled_from(["instant", "daily_digest", "none"]),
    )


@st.composite
def hosted_events(draw: DrawFn, *, host_id: str, workspace_id: str | None = None) -> HostedEvent:
    """Give events without participants."""
    starts_at = draw(moments())
    lasts = draw(st.none() | st.integers(0, 10**6))
    return HostedEvent(
        id=new_id(),
        host_id=host_id,
        workspace_id=workspace_id,
        title=draw(_names()),
        description=draw(texts()),
        location=draw(st.none() | texts()),
        starts_at=starts_at,
        ends_at=None if lasts is None else starts_at + timedelta(seconds=lasts),
        capacity=draw(st.none() | st.integers(1, 2**31 - 1)),
        is_public=draw(st.booleans()),
        status=draw(st.sampled_from(["scheduled", "canceled"])),
    )


@st.composite
def event_participants(draw: DrawFn, *, event_id: str, user_id: str) -> EventParticipant:
    """Give participants of an event that has room; an event takes each user once."""
    status = draw(st.sampled_from(["invited", "going", "waitlisted", "declined"]))
    return EventParticipant(
        id=new_id(),
        event_id=event_id,
        user_id=user_id,
        status=status,
        responded_at=draw(st.none() | moments()),
        attended_at=draw(st.none() | moments()) if status == "going" else None,
    )


def admin_users(*, user_id: str, granted_by: str | None = None) -> SearchStrategy[AdminUser]:
    """Give administrators in every role, active or not; a user is one once."""
    return st.builds(
        AdminUser,
        id=st.builds(new_id),
        user_id=st.just(user_id),
        role=st.sampled_from(["support", "admin", "superadmin"]),
        granted_by=st.just(granted_by),
        revoked_at=st.none() | moments(),
    )


def audit_entries(
    *, actor_id: str | None = None, workspace_id: str | None = None
) -> SearchStrategy[AuditEntry]:
    """Give entries of the audit trail."""
    return st.builds(
        AuditEntry,
        id=st.builds(new_id),
        actor_id=st.just(actor_id),
        workspace_id=st.just(workspace_id),
        action=_names(),
        entity_type=texts(),
        entity_id=st.none() | texts(),
        details=json_documents(),
        ip_address=st.none() | texts(),
        user_agent=st.none() | texts(),
        created_at=moments(),
    )


@st.composite
def ai_usages(draw: DrawFn, *, user_id: str | None = None) -> AiUsage:
    """Give AI calls that run, are settled, or were given up."""
    status = draw(st.sampled_from(["reserved", "settled", "released"]))
    began = draw(moments())
    return AiUsage(
        id=new_id(),
        user_id=user_id,
        provider=draw(_names()),
        model=draw(texts()),
        feature=draw(texts()),
        status=status,
        reserved=draw(amounts(0, _MOST)),
        cost=draw(amounts(0, _MOST)) if status == "settled" else Decimal(0),
        input_tokens=draw(_COUNTS),
        output_tokens=draw(_COUNTS),
        expires_at=draw(moments()) if status == "reserved" else None,
        ended_at=None if status == "reserved" else draw(moments()),
        metadata=draw(json_documents()),
        created_at=began,
    )


@st.composite
def cost_budgets(draw: DrawFn, *, user_id: str | None = None) -> CostBudget:
    """Give budgets of a user, or of all together; each has one a period."""
    period = draw(st.sampled_from(["daily", "monthly", "total"]))
    limits: SearchStrategy[Decimal | None] = amounts(0, _MOST)
    if user_id is not None and period == "daily":
        limits = st.none() | limits
    return CostBudget(id=new_id(), user_id=user_id, period=period, limit=draw(limits))


@st.composite
def daily_log_summaries(draw: DrawFn) -> DailyLogSummary:
    """Give summaries; a day has each group once."""
    kind = draw(st.sampled_from(["total", "ai_usage", "audit"]))
    entries = draw(_COUNTS)
    return DailyLogSummary(
        id=new_id(),
        day=draw(st.dates(date(2000, 1, 1), date(2099, 12, 31))),
        kind=kind,
        name="" if kind == "total" else draw(texts()),
        detail="" if kind == "total" else draw(texts()),
        entries=entries,
        users=draw(st.integers(0, entries)),
        input_tokens=draw(_COUNTS),
        output_tokens=draw(_COUNTS),
        cost=draw(amounts(0, _MOST)),
    )


@st.composite
def import_sessions(draw: DrawFn, *, started_by: str | None = None) -> ImportSession:
    """Give imports in every status; a source is running or completed once for each kind."""
    status = draw(st.sampled_from(["running", "completed", "failed", "canceled"]))
    succeeded, failed = draw(st.integers(0, 1_000)), draw(st.integers(0, 1_000))
    done = succeeded + failed
    total = done if status == "completed" else draw(st.none() | st.integers(done, 5_000))
    return ImportSession(
        id=new_id(),
        started_by=started_by,
        kind=draw(_names()),
        source_name=draw(texts()),
        source_digest=draw(st.text("0123456789abcdef", min_size=64, max_size=64)),
        status=status,
        total_rows=total,
        succeeded_rows=succeeded,
        failed_rows=failed,
        error_message=draw(st.none() | texts()),
        finished_at=None if status == "running" else draw(moments()),
    )


def import_failures(*, session_id: str, row_number: int) -> SearchStrategy[ImportFailure]:
    """Give refused rows of an import; each has a number of its own."""
    return st.builds(
        ImportFailure,
        id=st.builds(new_id),
        session_id=st.just(session_id),
        row_number=st.just(row_number),
        error_code=texts(),
        message=texts(),
        row_data=st.none() | json_documents(),
        created_at=moments(),
    )


@st.composite
def system_settings(draw: DrawFn, *, updated_by: str | None = None) -> SystemSetting:
    """Give settings: the three that have types, and others."""
    typed = {
        "maintenance_mode": st.booleans(),
        "max_ai_cost_per_user_daily": st.none() | st.integers(0, 10**15),
        "default_rate_limit": st.integers(0, 10**9),
    }
    key = draw(st.sampled_from(sorted(typed)) | _names())
    return SystemSetting(key=key, value=draw(typed.get(key, json_documents())), updated_by=updated_by)


def ai_providers() -> SearchStrategy[AiProvider]:
    """Give settings of providers; each provider has them once."""
    return st.builds(
        AiProvider,
        id=st.builds(new_id),
        provider=st.sampled_from(["gemini", "openai"]),
        is_enabled=st.booleans(),
        default_model=_names(),
        fallback_provider=st.none(),
        feature_routing=st.dictionaries(texts(max_size=10), texts(max_size=10), max_size=3),
    )


def make_list(
    store: Store, *, owner_id: str, members: Iterable[str] = (), items: Iterable[str] = ()
) -> SharedList:
    """Make a list of an owner, shared with other users who may change it, with items."""
    lists = store.workspaces.lists
    made = lists.create(owner_id, "List")
    for member_id in members:
        lists.add_member(made.id, member_id, user_id=owner_id)
    given = list(items)
    if given:
        lists.add_items(made.id, given, user_id=owner_id)
    return made


def make_event(
    store: Store, *, host_id: str, capacity: int | None = None, starts_at: datetime | None = None
) -> HostedEvent:
    """Make a public event, which begins in an hour unless said otherwise."""
    begins = starts_at or store.engine.clock() + timedelta(hours=1)
    return store.workspaces.events.host(host_id, "Event", begins, capacity=capacity)


def _names() -> SearchStrategy[str]:
    # a rule of the database looks for something beside spaces
    return st.builds(str.__add__, texts(min_size=1, max_size=1).filter(lambda text: text != " "), texts())
