"""What a KPI is and how it follows from facts; pure."""
