"""What to do about an error, by the name with which it fails an execution."""

ADVICE = {
    "InvalidMember": "correct that record in the input object, and start again",
    "InvalidJSON": "correct the input object at that place, and start again",
    "InvalidCell": "Excel cannot hold that value: shorten or clean it in SegmentHandler.process",
    "InvalidEvent": "start the execution with an input such as {\"input_obj\": \"members.json\"}",
    "InvalidSegment": "something else wrote that key: delete it, and start again",
    "MissingSegment": "a segment's result was deleted or never written: start again",
    "TooManySegments": "choose a larger division_number, or leave it out",
    "NoSuchKey": "the object is not in the bucket: make json writes test.json",
    "NoSuchBucket": "make bucket",
    "Runtime.OutOfMemory": "raise MEMORY in the function's Makefile and make create, or choose a smaller division_number",
    "Sandbox.Timedout": "raise TIMEOUT in the function's Makefile (900 s at most) and make create, or choose a smaller division_number",
    "Runtime.ImportModuleError": "add the module to the function's Pipfile: pipenv lock, make zip create",
    "Runtime.ExitError": "the process ended by itself; its log is above, make log shows more",
}
DEFAULT = "the log is above; make log shows more of it"


def advice(error: str) -> str:
    return ADVICE.get(error, DEFAULT)
