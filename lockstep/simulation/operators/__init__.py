"""The steps of operators: audits, repairs, answers and others, and the promises that they keep."""
