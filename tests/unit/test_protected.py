"""Which names tell of what must never be read."""

from __future__ import annotations

import pytest

from deploy.protected import is_protected


@pytest.mark.parametrize(
    "name",
    ["Age", "Gender", "MaritalStatus", "Over18", "DailyRate", "HourlyRate", "MonthlyRate",
     "MonthlyIncome", "PercentSalaryHike", "StockOptionLevel", "Date of birth", "Ethnicity", "sex",
     "Geschlecht", "Gehalt", "Bruttogehalt", "Geburtsdatum", "Alter", "Sexe", "Edad", "Salario",
     "SALARY", "base_salary", "dateOfBirth", "birthdate", "État civil", "Date de naissance",
     "Fecha de nacimiento", "Género", "Religion", "Nationalität", "EmployeeAge", "Union member",
     "PayGrade", "Health status", "Familienstand", "Salaire brut", "Estado civil",
     "monthlyincome", "stock_option_level", "hourly rate", "Über 18? sex", "Pay", "is_female",
     "maternity", "parental_leave", "pronouns", "Elternzeit", "congé maternité", "isMale"],
)  # fmt: skip
def test_protected_attributes_and_pay_are_recognised(name: str) -> None:
    assert is_protected(name)


@pytest.mark.parametrize(
    "name",
    ["JobLevel", "Department", "YearsAtCompany", "Stage", "Manager", "Reunion", "PaymentTerms",
     "HealthcareRole", "Language", "Essex office", "Agency", "Alternate", "Trace", "Pay terms",
     "Health care role", "Paysage", "Pays", "Wagener", "Averages", "Walter", "Manifest", "Mandate",
     "Maintenance", "Humane resources", "Man hours"],
)  # fmt: skip
def test_work_attributes_are_not_taken_for_protected_ones(name: str) -> None:
    assert not is_protected(name)
