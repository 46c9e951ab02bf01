"""One request type, one way to answer it: what every shell (command line, Slicer, web) calls."""
