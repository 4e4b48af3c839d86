"""One step of the life of one approval, in a process of its own: `one_step DATABASE HOURS WHAT [WHO ROLE]`."""

from __future__ import annotations

from interlock import Approval, Escalate, Principal
from interlock.tools import InterlockError
from tests.commands.approvals.support import ADA, HOUR, Clock, Home, Shop, asked, pending, refund, said, thread

RULE = Approval(role="supervisor", count=2, within="24h", on_expiry=Escalate("manager", within="24h"))


def main(database: str, hours: str, what: str, *who: str) -> str:
    clock = Clock()
    clock.advance(float(hours) * HOUR)
    home = Home(f"sqlite:///{database}", clock)
    shop = Shop()
    graph = home.compile(shop.workflow([refund()] if what == "propose" else [], approval=RULE, refund_to="closed"))
    try:
        match what:
            case "propose":
                (shown,) = asked(graph.invoke(said(), thread(), context=ADA))
                return f"asked by {shown['requestedBy']}, to be decided by {shown['rule']['role']}"
            case "approve":
                by = Principal(who[0], roles=frozenset({who[1]}))
                return graph.instances.decide(pending(graph, thread()), "approve", by=by).status.value
            case "tick":
                lapsed = graph.instances.tick(resume=False).lapsed
                return "; ".join(f"{one.outcome} to {one.to}" for one in lapsed) or "nothing"
            case "go on":
                state = graph.instances.resume(thread())["state"]
                return f"{', '.join(shop.ran)}; {state}"
            case _:
                records = graph.instances.audit(thread())
                broken = graph.engine.store.verify(str(graph.instances.id_of(thread())))
                told = [f"{record.kind} {record.principal_id}" for record in records]
                return ", ".join([*told, "broken" if broken else "whole"])
    except InterlockError as error:
        return f"declined: {error.message}"
    finally:
        home.close()
