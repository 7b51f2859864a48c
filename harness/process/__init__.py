"""Child processes: started, watched, and gone with whoever started them."""
