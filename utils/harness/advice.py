"""What to do about an error, by the name with which it fails an execution."""

ADVICE = {
    "InvalidMember": "correct that record in the input object, and start again",
    "InvalidJSON": "correct the input object at that place, and start again",
    "InvalidCell": "Excel cannot hold that value: shorten or clean it in SegmentHandler.process",
    "InvalidEvent": "start the execution with an input such as {\"input_obj\": \"members.json\"}",
    "InvalidSegment": "something else wrote that key: delete it, and start again",
    "MissingSegment": "a segment failed (its log is above) or its result was deleted: correct that, and start again",
    "TooManySegments": "choose a larger division_number, or leave it out",
    "NoSuchKey": "the object is not in the bucket: make json writes test.json",
    "NoSuchBucket": "make bucket",
    "Sandbox.Timedout": "raise TIMEOUT in the function's Makefile (900 s at most) and make create, or choose a smaller division_number",
    "Runtime.ImportModuleError": "add the module to the function's Pipfile: pipenv lock, make zip create",
    "Runtime.ExitError": "the process ended by itself; its log is above, make log shows more",
}
# By what the message says, where the error's name says little.
BY_MESSAGE = {
    "signal: killed": "raise MEMORY in the function's Makefile and make create, or choose a smaller division_number",
    "Rate Exceeded.": "the function's concurrency is used up: raise it, or lower MaxConcurrency in state-machine/",
    "(SlowDown)": "S3 asks for fewer requests: start again later, or lower MaxConcurrency in state-machine/",
    "(InternalError)": "S3 has trouble: start again later",
    "(AccessDenied)": "allow that to the function's role",
}
DEFAULT = "the log is above; make log shows more of it"


def advice(error: str, message: str = "") -> str:
    by_message = (fix for text, fix in BY_MESSAGE.items() if text in message)
    return next(by_message, None) or ADVICE.get(error, DEFAULT)
