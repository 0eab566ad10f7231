"""The table, and its place in docs/performance.md."""
import datetime
import os
import platform
import re

# row: what Postrider is to reach, as a factor of the peers or an upper bound
REACH = {
    "SMTP 4 KiB, 20 sessions kept open": 8,
    "SMTP 4 KiB, a connection each": 6,
    "SMTP 4 KiB, 1 session kept open": 4,
    "visible: 4 KiB, 20 sessions kept open": 10,
    "visible: 64 KiB, 20 sessions kept open": 6,
    "APPEND 4 KiB, 1 connection": 2,
    "APPEND 4 KiB, 8 connections": 3,
    "FETCH of one body": 1.5,
    "STORE of one flag": 1.5,
    "LOGIN, LOGOUT, 20 at a time, plain": 2,
    "LOGIN, LOGOUT, 20 at a time, TLS": 1.5,
    "POP3 RETR 12 KiB, awaited": 1.5,
    "POP3 RETR 12 KiB, pipelined": 1.5,
    "POP3 LOGIN, STAT, UIDL, ms": "< 3",
    "KiB a connection in IDLE, plain": "< 8",
    "KiB a connection in IDLE, TLS": "< 32",
    "sent: 4 KiB, 1 destination": 3,
    "sent: 4 KiB, 900 destinations": 3,
    "sent: 4 KiB, 900 of 1000 destinations, the others dead": 3,
    "bytes of memory a queued message that is not due": "< 200",
    "start with those to the first delivery, ms": "< 2000",
    "SELECT, ms": "< 1",
    "SELECT, nothing cached, ms": "< 10",
    "UID FETCH 1:* (FLAGS), ms": "< 20",
    "FETCH of structures, for the first time, ms": "< 300",
    "FETCH of structures, ms": "< 300",
    "STORE 1:* +FLAGS.SILENT, ms": "< 15",
    "SEARCH SUBJECT, ms": "< 20",
    "SEARCH TEXT, a word, ms": "< 30",
    "SEARCH TEXT, a word, nothing cached, ms": "< 100",
    "SORT (DATE), ms": 2,
    "THREAD REFERENCES, ms": 2,
    "FETCH of all bodies, MB": "> 700",
    "EXPUNGE of all, ms": "< 500",
    "sessions in IDLE under TLS": 100000,
    "KiB a session, access": "< 32",
    "new mail told, from the 250, the last of all, ms": "< 10",
    "start to greeting, SMTP, ms": "< 200",
    "start to greeting, IMAP, ms": "< 200",
}


def is_cost(row):
    return row.endswith(", ms") or row.startswith(("KiB", "bytes"))


def title(row):
    return row if is_cost(row) or row.startswith("sessions") else \
        row + ", a second"


def number(value):
    if value is None:
        return "-"
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"


def line(row, ours, theirs):
    ratio = "-"
    if ours and theirs and ours > 0:
        ratio = f"{(theirs / ours if is_cost(row) else ours / theirs):.1f}"
    reach = REACH.get(row, "-")
    return title(row), number(ours), number(theirs), ratio, str(reach)


def table(results):
    ours = results.get("postrider", {})
    theirs = results.get("peers", {})
    rows = [("", "Postrider", "peers", "times better", "reach")]
    for row in list(dict.fromkeys([*ours, *theirs])):
        rows.append(line(row, ours.get(row), theirs.get(row)))
    width = [max(len(r[i]) for r in rows) for i in range(5)]
    text = []
    for r in rows:
        text.append("| " + r[0].ljust(width[0]) + " | " + " | ".join(
            r[i].rjust(width[i]) for i in range(1, 5)) + " |")
    text.insert(1, "|" + "|".join(
        "-" * (w + 1) + ("-" if i == 0 else ":")
        for i, w in enumerate(width)) + "|")
    return "\n".join(text)


def machine(versions):
    model = "unknown processor"
    with open("/proc/cpuinfo") as f:
        found = re.search(r"^model name\s*:\s*(.+)$", f.read(), re.M)
        if found:
            model = found.group(1)
    return (f"{datetime.date.today()}: {model}, {os.cpu_count()} cores, "
            f"Linux {platform.release()}; {'; '.join(versions)}.")


def finish(what, results, versions, path):
    """Print it; and put it between the marks of `what` on the page."""
    begin, end = f"<!-- {what} -->", f"<!-- end of {what} -->"
    text = f"{machine(versions)}\n\n{table(results)}"
    print(f"\n{text}")
    if path is None:
        return
    with open(path) as f:
        page = f.read()
    before, _, rest = page.partition(begin)
    _, _, after = rest.partition(end)
    with open(path, "w") as f:
        f.write(f"{before}{begin}\n{text}\n{end}{after}")
