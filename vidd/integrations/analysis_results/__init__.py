"""The results of an analysis of people: poses, boxes and bodies by scene."""
