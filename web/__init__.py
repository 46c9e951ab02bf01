"""The session in a browser, on trame-slicer: real MRML views over the library's own session.

One front process (``front``) lets a browser in and starts one worker process (``worker``) for each
tab; the worker holds the scene, the session and the page. Research use only.
"""
