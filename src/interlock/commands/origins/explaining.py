"""Shows an approver the origins of a call's values: each argument's origin, its source in words, and a short excerpt.

Sources are stored as hashes. So the excerpt comes from the record of the tool's output at the time of the request, with sensitive
fields masked. It is stored with the request, like the preview, and erased with it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from ...checkpointing.store import AuditKind, AuditRecord, Unit
from ...checkpointing.store import audit as audit_rows
from ...rules.definition import Definition
from ...rules.gate import Admission
from ...rules.origins.excerpts import SHORTEST, Excerpt, excerpt
from ...rules.origins.index import Named, Origin
from ...rules.origins.policy import TrustedOrigins
from ...rules.origins.tracing import IN_WORDS, Traced, traced
from ...tools.canonical import JSON, JsonObject, canonical_json, same_json
from ...tools.events import moment_of, timestamp
from .capturing import Sources

MOST_SHOWN = 40
"""The maximum number of shown origins per call; refused ones come first."""
LOOKED_THROUGH = 100
"""The maximum number of output records, newest first, that are searched for a value without a trusted source."""
_ANSWERS = (AuditKind.READ, AuditKind.TRANSITION)


def origins_shown(
    definition: Definition,
    unit: Unit,
    admission: Admission,
    *,
    before: Mapping[str, Any] | None = None,
    editor: str = "",
) -> JsonObject:
    """The `sources` of a request for approvers; empty in a workflow without tracing of arguments.

    Args:
        definition: The workflow.
        unit: The instance, in the transaction of the request.
        admission: The admitted call.
        before: The proposed arguments, if somebody edited them.
        editor: The editor.
    """
    policies = [policy for policy in definition.policies if isinstance(policy, TrustedOrigins)]
    if not policies:
        return {}
    contract = admission.edge.tool
    found: dict[tuple[Any, ...], tuple[bool, Traced]] = {}
    for one in traced(contract, admission.canonical, Sources(unit.connection, unit.instance).index()):
        accepted = all(policy.accepts_from(contract, one) for policy in policies)
        value = one.value if one.origin is Origin.NOWHERE else None
        found.setdefault((one.label, one.origin, one.source, accepted, repr(value)), (accepted, one))
    first = sorted(found.values(), key=lambda told: told[0])[:MOST_SHOWN]
    looking = _RecordSearch(unit, tuple(one for _, one in first))
    sources: list[JSON] = []
    for accepted, one in (told for told in found.values() if told in first):
        name = one.path[0]
        if before is not None and not same_json(before.get(name), admission.canonical.get(name)):
            sources.append(
                {"argument": one.label, "origin": "approver", "accepted": True, "from": f"an edit by {editor}"}
            )
        else:
            sources.append(looking.told(one, accepted=accepted))
    return {"sources": sources} if sources else {}


@dataclass(frozen=True)
class _RecordSearch:
    """Searches the records of one instance."""

    unit: Unit
    wanted: tuple[Traced, ...]

    def told(self, one: Traced, *, accepted: bool) -> JsonObject:
        """Describe one argument."""
        record, place = self._place(one)
        told: JsonObject = {
            "argument": one.label,
            "origin": one.origin.value,
            "accepted": accepted,
            "from": IN_WORDS[one.origin] + (", and is a value of a sensitive field" if one.is_secret else ""),
        }
        source = one.source
        if source is None and record is not None:
            source = Named("text", str(record.tool), record.audit_ref, record.recorded_at)
        if source is None:
            return told
        told["from"] = f"{told['from']}, {_called(source, place)}"
        told["source"] = {
            "kind": source.kind,
            "name": source.name,
            "auditRef": source.audit_ref,
            "at": timestamp(moment_of(source.at)),
            **({} if place is None else {"path": place.path}),
        }
        return told if place is None else told | {"excerpt": place.text}

    def _place(self, one: Traced) -> tuple[AuditRecord | None, Excerpt | None]:
        if _text_of(one) is None:
            return None, None
        for record in self._answers:
            if one.source is None or record.audit_ref == one.source.audit_ref:
                place = excerpt((record.payload or {}).get("output"), one.value)
                if place is not None:
                    return record, place
        return None, None

    @cached_property
    def _answers(self) -> list[AuditRecord]:
        texts = {text for one in self.wanted if (text := _text_of(one)) is not None}
        return audit_rows.latest_with(
            self.unit.connection, self.unit.instance.workflow_id, _ANSWERS, texts, limit=LOOKED_THROUGH
        )


def _text_of(one: Traced) -> str | None:
    """The recorded text of a value; None if there is nothing to search, or the text is too common."""
    if one.origin in {Origin.USER, Origin.APP}:
        return None
    text = canonical_json(one.value)
    text = text[1:-1].strip() if isinstance(one.value, str) else text
    return text if text and (one.source is not None or len(text) >= SHORTEST) else None


def _called(source: Named, place: Excerpt | None) -> str:
    at = timestamp(moment_of(source.at))[:16].replace("T", " ")
    match source.kind:
        case "words":
            return f"in what {source.name} said at {at} UTC"
        case "output":
            return f"in what {source.name} returned at {at} UTC"
    where = f" ({place.path})" if place is not None and place.path else ""
    return f"though it is in what {source.name} returned at {at} UTC{where}"


__all__ = ["origins_shown"]
