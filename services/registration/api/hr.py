"""What HR sees of its own records: people as we hold them, and records that we could not apply."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query

from services.registration.api.answers import HrOrAuditor
from services.registration.api.views import EmployeeView, ParkedView
from services.registration.domain.rules import Unknown
from services.registration.store import directory, people
from shared.catalogue import EmployeeId
from shared.http import Tx, new_router

router = new_router("hr")


@router.get("/hr/employees/{employee_id}", summary="Show a person")
async def show_employee(employee_id: EmployeeId, tx: Tx, who: HrOrAuditor) -> EmployeeView:
    """The state in force. An auditor sees no name and no address."""
    employee = await directory.employee(tx.connection, employee_id)
    if employee is None:
        raise Unknown("employee")
    contact = None
    if "hr_system" in who.roles:
        contact = await directory.contact(tx.connection, employee_id)
    return EmployeeView.of(employee, contact)


@router.get("/hr/parked-records", summary="List records that could not be applied")
async def list_parked_records(
    tx: Tx,
    who: HrOrAuditor,  # noqa: ARG001
    limit: Annotated[int, Query(ge=1, le=5000, description="At most so many.")] = 1000,
) -> list[ParkedView]:
    """Newest first, with the reason that names the field and the remedy; never their content."""
    return [ParkedView(**row) for row in await people.parked_hr_records(tx.connection, limit)]
