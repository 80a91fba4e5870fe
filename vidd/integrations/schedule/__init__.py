"""A schedule as the programme: schedule.xml of frab and Pentabarf, schedule.json, iCalendar, or any JSON by a map."""
