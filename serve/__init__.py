"""The Ray edge that answers: Ray Serve nets, REST, live feed and page."""
