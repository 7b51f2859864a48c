"""The plain frozen records in which the stages meet: one file for each question that they answer."""
