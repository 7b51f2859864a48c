"""What comes from elsewhere, such as files of others and answers over HTTP, is read within limits here."""
