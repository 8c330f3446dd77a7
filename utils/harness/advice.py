"""What to do about an error: one table, in English and Japanese, for the emulator and for AWS."""

import os

from harness.settings import FOLDERS

# Raise a setting of a function: one of the emulator's own, or one of a stack.
RAISE = {
    False: (
        "raise {SETTING} in demo-{stage}/Makefile and make create",
        "demo-{stage}/Makefile の {SETTING} を大きくして make create する",
    ),
    True: (
        "make deploy{flags} PARAMETERS={Stage}{Setting}=…",
        "make deploy{flags} PARAMETERS={Stage}{Setting}=… を実行する",
    ),
}
# Run fewer segments at once.
FEWER = {
    False: ("MaxConcurrency in state-machine/*.json", "state-machine/*.json の MaxConcurrency"),
    True: ("make deploy{flags} PARAMETERS=MaxConcurrency=…",) * 2,
}
# Redrive repeats what failed with the same code, settings and input: it is named where these are right.
AGAIN = {
    False: ("start again later", "後でもう一度実行してください"),
    True: (
        "make redrive{flags} EXECUTION={execution} runs again what failed, and keeps the rest",
        "make redrive{flags} EXECUTION={execution} で失敗した分だけ再実行できます",
    ),
}
LOG = (
    "make log{flags} shows what the functions logged",
    "make log{flags} で関数のログを表示できます",
)
ABOVE = ("its log is above", "ログは上のとおりです")

KILLED = "Runtime.OutOfMemory"
NO_SPACE = "No space left on device"
# Of the emulator, where its S3, its functions' code and their /tmp are on one disk of this machine.
DISK_FULL = (
    "the disk is full that holds {folder}: free some space there, or make down and up, which empties it",
    "{folder} のあるディスクがいっぱいです。空きを作るか、make down と make up で空にしてください",
)
# What the definitions in state-machine/ retry, and some trouble outlasts.
TROUBLE = (
    "S3, Lambda or the network had trouble for longer than the retries: {again}",
    "S3、Lambda、ネットワークのいずれかの障害が再試行より長く続きました。{again}",
)
TRANSIENT = (
    "Lambda.ServiceException",
    "Lambda.AWSLambdaException",
    "Lambda.SdkClientException",
    "Lambda.ClientExecutionTimeoutException",
    "Lambda.CodeArtifactUserPendingException",
    "ConnectTimeoutError",
    "ConnectionClosedError",
    "EndpointConnectionError",
    "IncompleteReadError",
    "ReadTimeoutError",
    "ResponseStreamingError",
    "SSLError",
    "ConditionalRequestConflict",
    "InternalError",
    "ServiceUnavailable",
)
THROTTLED = (
    "the function's concurrency is used up: {again}; raise it, or run fewer segments at once: {fewer}",
    "関数の同時実行数を使い切りました。{again}。同時実行数を増やすか、同時に動くセグメントを減らしてください: {fewer}",
)
SLOW_DOWN = (
    "S3 asks for fewer requests: {again}, or run fewer segments at once: {fewer}",
    "S3 へのリクエストが多すぎます。{again}。または同時に動くセグメントを減らしてください: {fewer}",
)
SMALLER = ("or choose a smaller division_number", "か、division_number を小さくしてください")
ADVICE = {
    **dict.fromkeys(TRANSIENT, TROUBLE),
    "Lambda.TooManyRequestsException": THROTTLED,
    "SlowDown": SLOW_DOWN,
    "InvalidMember": (
        "correct that record in the input object, and start again; or start with "
        '"rejects": "sheet" in the input, which lists such records on a sheet of their own',
        "入力オブジェクトのそのレコードを直し、もう一度実行してください。または入力に "
        '"rejects": "sheet" を加えると、そのようなレコードは専用のシートに一覧になります',
    ),
    "MissingColumn": (
        "correct the name of that column, in the table's header or in the ETL; a table that is cut "
        'by another sign than a comma has one column: name the sign as "delimiter" in the input',
        "その列の名前を、表の見出しか ETL で直してください。カンマ以外で区切られた表は 1 列になるので、"
        '入力の "delimiter" で区切りを示してください',
    ),
    "RepeatedColumn": (
        "rename or drop one of those columns in the ETL before the rule",
        "ETL でルールの前に、その列の一つを改名するか除いてください",
    ),
    "InvalidResult": (
        "end process in the ETL with the table that it made: return df",
        "ETL の process の最後で、作った表を返してください: return df",
    ),
    "InvalidEtl": (
        "correct that module in demo-segment/etl/: make zip says which, and make create",
        "demo-segment/etl/ のそのモジュールを直して（make zip が示します）make create してください",
    ),
    "UnknownEtl": (
        "choose one of them with ETL=…, or write it: make etl NAME=… FILE=…; make zip create",
        "ETL=… でそのいずれかを選ぶか、make etl NAME=… FILE=… で作り、make zip create してください",
    ),
    "WorkbookTooLarge": (
        'start with "sheets": "summaries" in the input, which leaves the table out, or divide the input',
        '入力に "sheets": "summaries" を加えて表を除くか、入力を分けて、もう一度実行してください',
    ),
    "TooManyRejects": (
        "correct the input object, or raise max_rejects, and start again",
        "入力オブジェクトを直すか max_rejects を増やし、もう一度実行してください",
    ),
    "InvalidJSON": (
        "correct the input object at that place, and start again",
        "入力オブジェクトのその箇所を直し、もう一度実行してください",
    ),
    "InvalidCSV": (
        "correct the input object at that line, and start again",
        "入力オブジェクトのその行を直し、もう一度実行してください",
    ),
    "InvalidGzip": (
        "pack the table again, upload it whole, and start again",
        "表を圧縮し直し、最後までアップロードして、もう一度実行してください",
    ),
    "InvalidWorkbook": (
        'correct the workbook there and save it in Excel, or choose its sheet by "sheet" in the input; '
        "start again",
        'ワークブックのその箇所を直して Excel で保存するか、入力の "sheet" でシートを選び、'
        "もう一度実行してください",
    ),
    "NoObjects": (
        "make upload{flags} FILE=… KEY=… puts a table there; or correct input_obj",
        "表は make upload{flags} FILE=… KEY=… で置けます。または input_obj を直してください",
    ),
    "TooManyObjects": (
        "choose fewer of them by a pattern, or join them into larger objects",
        "パターンで絞るか、より大きいオブジェクトにまとめてください",
    ),
    "NoCommonColumn": (
        "correct that object's header, or leave the object out of input_obj, and start again",
        "そのオブジェクトの見出しを直すか、input_obj から外して、もう一度実行してください",
    ),
    "NoInputBucket": (
        "correct input_bucket; which one a stack reads, make deploy{flags} PARAMETERS=InputBucket=… says",
        "input_bucket を直してください。スタックが読むバケットは make deploy{flags} PARAMETERS=InputBucket=… で決めます",
    ),
    "TooManyColumns": (
        "leave columns out in the ETL's process; where the input has too many, divide it",
        "ETL の process で列を減らしてください。入力の列が多すぎるときは、入力を分けてください",
    ),
    "InputChanged": (
        "the input object was replaced while it was read: start again",
        "読んでいる間に入力オブジェクトが置き換えられました。もう一度実行してください",
    ),
    "PreconditionFailed": (
        "something else wrote among the execution's objects: start again",
        "実行中のオブジェクトが別のものに書き換えられました。もう一度実行してください",
    ),
    "InvalidMask": (
        "fill the gaps of that column, or of the mask: refuse(df, …, mask.fillna(True), …)",
        "その列かマスクの欠損を埋めてください: refuse(df, …, mask.fillna(True), …)",
    ),
    "InvalidReference": (
        "correct REFERENCES, or that table there and make upload{flags} FILE=… KEY=reference/…; start again",
        "REFERENCES か、その表のその箇所を直して make upload{flags} FILE=… KEY=reference/… し、もう一度実行してください",
    ),
    "MissingReference": (
        "make upload{flags} FILE=… KEY=reference/… puts the table there; or correct REFERENCES in its ETL",
        "表は make upload{flags} FILE=… KEY=reference/… で置けます。または ETL の REFERENCES を直してください",
    ),
    "ReferenceChanged": (
        "the reference table was replaced during the execution: start again",
        "実行中に参照表が置き換えられました。もう一度実行してください",
    ),
    "InvalidCell": (
        "Excel cannot hold that value: shorten or clean it in the ETL's process",
        "Excel に書けない値です。ETL の process で短くするか取り除いてください",
    ),
    "InvalidSummary": (
        "correct SUMMARIES in the ETL, in demo-segment/etl/, or that record in its process",
        "demo-segment/etl/ にある ETL の SUMMARIES か、process でそのレコードを直してください",
    ),
    "InvalidSheetName": (
        "choose another name for that summary in SUMMARIES of the ETL, in demo-segment/etl/",
        "demo-segment/etl/ にある ETL の SUMMARIES で、その集計に別の名前を付けてください",
    ),
    "InvalidFormat": (
        "correct FORMATS in the ETL, in demo-segment/etl/",
        "demo-segment/etl/ にある ETL の FORMATS を直してください",
    ),
    "InvalidLayout": (
        "correct LAYOUT in the ETL, in demo-segment/etl/",
        "demo-segment/etl/ にある ETL の LAYOUT を直してください",
    ),
    "InvalidSignature": (
        "something else wrote that object, or copied it without its metadata: start again",
        "そのオブジェクトは別のものが書いたか、メタデータなしでコピーされています。もう一度実行してください",
    ),
    "InvalidSigningKey": (
        "give the functions another key: make delete create; of a stack, make deploy{flags} ROTATE_KEY=1",
        "関数に別の鍵を与えてください: make delete create、スタックなら make deploy{flags} ROTATE_KEY=1",
    ),
    "MissingPartials": (
        "that result is of an older segment-lambda: make zip create, and start again",
        "その結果は古い segment-lambda のものです。make zip create のあと、もう一度実行してください",
    ),
    "InvalidEvent": (
        "correct that field of the input, and start again: utils/harness/README.md lists them",
        "入力のその項目を直して、もう一度実行してください。項目は utils/harness/README.ja.md にあります",
    ),
    "ScheduledTwice": (
        "the execution that it names makes that workbook; where that one failed, redrive it; or start "
        "with the date in place of the braces, without scheduled_time",
        "名前のある実行がそのワークブックを作ります。失敗していればその実行を redrive するか、"
        "scheduled_time を省き、波括弧の代わりに日付を書いて実行してください",
    ),
    "InvalidSegment": (
        "something else wrote that key: delete it, and start again",
        "そのキーに別のものが書かれています。削除してもう一度実行してください",
    ),
    "MissingSegment": (
        "a segment failed, or its result was deleted: {log}; start again",
        "セグメントが失敗したか、結果が削除されました。{log}。もう一度実行してください",
    ),
    "TooManySegments": (
        "choose a larger division_number, or leave it out",
        "division_number を大きくするか、省いてください",
    ),
    "NoSuchKey": (
        "the object is not in the bucket: make json{flags} writes test.json",
        "オブジェクトがバケットにありません。test.json は make json{flags} で作れます",
    ),
    "NoSuchBucket": ("make bucket", "make bucket を実行してください"),
    KILLED: (
        "Lambda kills what outgrows its memory: {memory}, " + SMALLER[0],
        "メモリを使い切ると強制終了されます。{memory}" + SMALLER[1],
    ),
    "WorkerDied": (
        "something killed a process that the function forked, most often its memory: {memory}",
        "関数がフォークしたプロセスが強制終了されました。多くはメモリ不足です。{memory}",
    ),
    "Sandbox.Timedout": (
        "it ran out of time (900 s at most): {timeout}, " + SMALLER[0],
        "時間切れです（最大 900 秒）。{timeout}" + SMALLER[1],
    ),
    "States.Timeout": (
        "the state took longer than its TimeoutSeconds in state-machine/: raise it, " + SMALLER[0],
        "ステートが state-machine/ の TimeoutSeconds を超えました。延ばす" + SMALLER[1],
    ),
    "States.ExceedToleratedFailureThreshold": (
        "a segment failed: {log}; correct that, and start again",
        "セグメントが失敗しました。{log}。直してもう一度実行してください",
    ),
    "States.ItemReaderFailed": (
        "the Map could not read the scatter's manifest: allow the state machine's role to read it; {again}",
        "Map が scatter のマニフェストを読めません。ステートマシンのロールに読み取りを許可してください。{again}",
    ),
    "Lambda.Unknown": (
        "the function timed out, crashed or ran out of memory: {log}",
        "関数が時間切れ、異常終了、メモリ不足のいずれかになりました。{log}",
    ),
    "ModuleNotFoundError": (
        "add the module to demo-segment/Pipfile: make -C demo-segment lock, make zip create",
        "モジュールを demo-segment/Pipfile に加え、make -C demo-segment lock、make zip create を実行してください",
    ),
    "Runtime.ImportModuleError": (
        "add the module to demo-{stage}/Pipfile: make -C demo-{stage} lock, make zip create",
        "モジュールを demo-{stage}/Pipfile に加え、make -C demo-{stage} lock、make zip create を実行してください",
    ),
    "Runtime.ExitError": (
        "the process ended by itself: {log}",
        "プロセスが自ら終了しました。{log}",
    ),
}
# By the message, whatever the error's name.
BY_MESSAGE = {
    "signal: killed": ADVICE[KILLED],
    "Task timed out": ADVICE["Sandbox.Timedout"],
    NO_SPACE: (
        "raise the gather's /tmp: make deploy{flags} PARAMETERS=GatherStorage=10240",
        "gather の /tmp を増やしてください: make deploy{flags} PARAMETERS=GatherStorage=10240",
    ),
    "; found UTF-16 or UTF-32": (
        "save the table as UTF-8 (in Excel: CSV UTF-8), and start again",
        "表を UTF-8（Excel では CSV UTF-8）で保存し、もう一度実行してください",
    ),
    "; found the byte order mark of UTF-8": (
        'leave "encoding" out of the input, and start again',
        '入力から "encoding" を除いて、もう一度実行してください',
    ),
    ": must be UTF-8; found ": (
        'save the table as UTF-8, or, of CSV in Shift_JIS, add "encoding": "cp932" to the input; start again',
        '表を UTF-8 で保存するか、Shift_JIS の CSV なら入力に "encoding": "cp932" を加え、もう一度実行してください',
    ),
    "without providing a reason": (
        "its worker was lost: {again}",
        "ワーカーが失われました。{again}",
    ),
    "Rate Exceeded.": THROTTLED,
    "(SlowDown)": SLOW_DOWN,
    "(InternalError)": TROUBLE,
    "(ServiceUnavailable)": TROUBLE,
    "(AccessDenied)": (
        "allow that to the function's role",
        "関数のロールにその操作を許可してください",
    ),
}
DEFAULT = ("{log}", "{log}")


def advice(
    error: str,
    message: str = "",
    *,
    stage: str = "segment",
    flags: str = "",
    logged: bool = True,
    language: str = "en",
    execution: str = "",
) -> str:
    """
    Args:
        error: its name, or that which the call's REPORT line gives.
        flags: the target's.
        logged: whether the reader sees the log of the call above the advice.
        execution: the name of the one that failed; "" for a call of its own.
    """
    if NO_SPACE in message and "TARGET=aws" not in flags:
        return DISK_FULL[language == "ja"].format(folder=os.path.relpath(FOLDERS))
    by_message = (texts for text, texts in BY_MESSAGE.items() if text in message)
    found = next(by_message, None) or ADVICE.get(error, DEFAULT)
    which, redriven = language == "ja", bool(execution) and "TARGET=aws" in flags
    names = {"stage": stage, "Stage": stage.capitalize(), "flags": flags, "execution": execution}
    raised = RAISE[bool(flags)][which]
    return found[which].format(
        memory=raised.format(SETTING="MEMORY", Setting="Memory", **names),
        timeout=raised.format(SETTING="TIMEOUT", Setting="Timeout", **names),
        log=ABOVE[which] if logged else LOG[which].format(**names),
        fewer=FEWER[bool(flags)][which].format(**names),
        again=AGAIN[redriven][which].format(**names),
        **names,
    )
