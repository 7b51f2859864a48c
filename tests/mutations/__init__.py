"""A small real run, and what a tampering hand may do to it: the right check names each, and no other."""
