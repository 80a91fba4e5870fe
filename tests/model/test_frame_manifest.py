import json
from fractions import Fraction

from vidd.model.frame_manifest import Sample, Task, TaskList, task_name


def test_a_row_of_the_manifest_comes_back_from_a_line_of_json():
    row = Sample(task_name(0, "Cam1"), 1, 5, 18000, 0.2, "ab12")
    assert Sample.from_json(json.loads(json.dumps(row.to_json()))) == row
    assert row.task == "task-0-Cam1"


def test_a_list_of_tasks_comes_back_from_json_with_its_time_base_exact():
    tasks = [Task(0, "task-0-a", "task-0-a/task-0-a.mp4", 120, 0, 595), Task(1, "task-1-a", None, 3, 600, 610)]
    listed = TaskList("a", 5.0, 29.97, Fraction(1001, 30000), 640, 360, 120, tasks)
    back = TaskList.from_json(json.loads(json.dumps(listed.to_json())))
    assert back == listed
    assert (back.frames, back.time_base) == (123, Fraction(1001, 30000))
