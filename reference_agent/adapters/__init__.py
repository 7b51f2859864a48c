"""What joins the patterns to real libraries: models, their errors, tools, HTTP, session stores."""
