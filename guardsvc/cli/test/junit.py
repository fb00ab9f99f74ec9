"""JUnit XML of a run, as CI systems read it."""

from __future__ import annotations

from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

if TYPE_CHECKING:
    from guardsvc.config import ConfigError
    from guardsvc.suites import Found, Run, SuiteResult

__all__ = ["junit"]


def junit(run: Run, found: Found) -> bytes:
    """The report: a test suite per file; files that cannot be run, and policies, are errors."""
    errors = [*run.configuration, *found.broken]
    root = ET.Element(
        "testsuites", name="guardsvc test", tests=str(run.cases), failures=str(run.failed), errors=str(len(errors))
    )
    for result in run.results:
        _suite(root, result)
    for error in errors:
        _error(root, error)
    ET.indent(root)
    text: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return text + b"\n"


def _suite(root: ET.Element, result: SuiteResult) -> None:
    source = _legal(result.suite.source)
    suite = ET.SubElement(
        root,
        "testsuite",
        name=source,
        tests=str(len(result.cases)),
        failures=str(len(result.failed)),
        errors="0",
        time=f"{sum(case.seconds for case in result.cases):.6f}",
    )
    for case in result.cases:
        element = ET.SubElement(
            suite,
            "testcase",
            name=_legal(case.case.description),
            classname=source,
            file=source,
            line=str(case.case.line),
            time=f"{case.seconds:.6f}",
        )
        if not case.passed:
            text = _legal("\n".join(case.differences))
            ET.SubElement(element, "failure", message=text.partition("\n")[0]).text = text


def _error(root: ET.Element, error: ConfigError) -> None:
    source, text = _legal(error.source), _legal(str(error))
    suite = ET.SubElement(root, "testsuite", name=source, tests="0", failures="0", errors="1")
    case = ET.SubElement(suite, "testcase", name="reading", classname=source, file=source)
    ET.SubElement(case, "error", message=text.partition("\n")[0]).text = text


def _legal(text: str) -> str:
    """The text as XML 1.0 can hold it (section 2.2); other characters as escapes."""
    return "".join(c if c in "\t\n\r" or _is_char(ord(c)) else c.encode("unicode_escape").decode() for c in text)


def _is_char(code: int) -> bool:
    return 0x20 <= code <= 0xD7FF or 0xE000 <= code <= 0xFFFD or code >= 0x10000  # noqa: PLR2004
