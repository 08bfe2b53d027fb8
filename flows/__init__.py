"""The flows that people and schedules start: thin orchestration over the library packages."""
