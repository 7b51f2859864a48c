"""What the site needs beside the pages."""
