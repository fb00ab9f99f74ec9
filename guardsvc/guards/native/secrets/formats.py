"""Formats: credentials that can be told by their form, each by how it begins and what must follow."""

from __future__ import annotations

import re
from collections.abc import Callable

import msgspec

from guardsvc.guards.native.secrets.checksums import (
    ends_at_random,
    has_age_checksum,
    has_aws_account,
    has_crc32_base62,
    is_macaroon,
    is_signed_jwt,
    names_a_password,
)

__all__ = ["BASIC", "DISCORD", "FORMATS", "Format"]


class Format(msgspec.Struct, frozen=True):
    """One form of credential.

    Attributes:
        rule: id of the rule.
        prefixes: how it begins, at least three characters each.
        pattern: the whole of it; matched at its beginning, of bounded length, without going back.
        check: whether what matches holds together.
        random: whether what follows the prefix must look drawn at random.
    """

    rule: str
    prefixes: tuple[bytes, ...]
    pattern: re.Pattern[bytes]
    check: Callable[[bytes], bool] | None = None
    random: bool = True


def _format(
    rule: str, prefixes: str, body: str, check: Callable[[bytes], bool] | None = None, *, random: bool = True
) -> Format:
    starts = tuple(prefixes.encode().split())
    begin = "|".join(re.escape(start.decode()) for start in starts)
    pattern = re.compile(f"(?:{begin})(?:{body})".encode())
    return Format(rule, starts, pattern, check, random)


FORMATS = (
    _format("github_token", "ghp_ gho_ ghu_ ghs_ ghr_", r"[A-Za-z0-9]{36}(?![A-Za-z0-9])", has_crc32_base62),
    _format("github_token", "github_pat_", r"[A-Za-z0-9]{22}_[A-Za-z0-9]{59}"),
    _format("npm_token", "npm_", r"[A-Za-z0-9]{36}(?![A-Za-z0-9])", has_crc32_base62),
    _format("gitlab_token", "glpat- gldt- glrt- glcbt- glptt- glft- glimt- glagent- glsoat-", r"[A-Za-z0-9_-]{20,300}"),
    _format("pypi_token", "pypi-AgE", r"[A-Za-z0-9_-]{50,1000}", is_macaroon, random=False),
    _format(
        "aws_access_key",
        "AKIA ASIA ABIA ACCA",
        # With a date behind it, it tells who signed a URL (Signature Version 4), as everybody may know.
        r"[A-Z2-7]{16}(?![A-Za-z0-9]|(?:/|%2[Ff])[0-9]{8}(?:/|%2[Ff]))",
        has_aws_account,
    ),
    _format("google_api_key", "AIza", r"[A-Za-z0-9_-]{35}(?![A-Za-z0-9_-])"),
    _format("google_api_key", "GOCSPX-", r"[A-Za-z0-9_-]{28}"),
    _format("google_api_key", "ya29.", r"[A-Za-z0-9_-]{20,2000}"),
    _format("slack_token", "xoxb- xoxp- xoxa- xoxr- xoxo- xoxs- xoxe- xoxe.xox xapp-", r"[A-Za-z0-9-]{20,250}"),
    _format(
        "slack_webhook",
        "hooks.slack.com/",
        r"(?:services|workflows|triggers)/[TE][A-Z0-9]{6,12}/[A-Za-z0-9/]{20,80}",
        ends_at_random,
    ),
    _format("stripe_key", "sk_live_ sk_test_ rk_live_ rk_test_", r"[A-Za-z0-9]{16,250}"),
    _format("stripe_key", "whsec_", r"[A-Za-z0-9+/]{32,64}"),
    _format("anthropic_key", "sk-ant-", r"(?:api|admin|sid|oat|ort)[0-9]{2}-[A-Za-z0-9_-]{40,200}"),
    _format("openai_key", "sk-proj- sk-svcacct- sk-admin-", r"[A-Za-z0-9_-]{40,250}"),
    _format("openai_key", "sk-", r"[A-Za-z0-9]{20}T3BlbkFJ[A-Za-z0-9]{20}"),
    _format("twilio_key", "SK", r"[0-9a-f]{32}(?![0-9A-Za-z])"),
    _format("sendgrid_key", "SG.", r"[A-Za-z0-9_-]{22}\.[A-Za-z0-9_-]{43}"),
    _format("huggingface_token", "hf_ api_org_", r"[A-Za-z]{34}(?![A-Za-z0-9])"),
    _format("azure_storage_key", "AccountKey= SharedAccessKey=", r"[A-Za-z0-9+/]{42,86}={1,2}"),
    _format("service_token", "sk-or-v1-", r"[0-9a-f]{64}"),
    _format("service_token", "sk-", r"[A-Za-z0-9]{32,64}(?![A-Za-z0-9_-])"),
    _format("service_token", "gsk_", r"[A-Za-z0-9]{52}"),
    _format("service_token", "xai-", r"[A-Za-z0-9]{80}"),
    _format("service_token", "pplx-", r"[A-Za-z0-9]{48}"),
    _format("service_token", "r8_", r"[A-Za-z0-9]{37}(?![A-Za-z0-9])"),
    _format("service_token", "glsa_", r"[A-Za-z0-9]{32}_[0-9a-f]{8}"),
    _format("service_token", "sk.eyJ", r"[A-Za-z0-9_-]{40,400}\.[A-Za-z0-9_-]{20,40}(?![A-Za-z0-9_.-])"),
    _format("service_token", "glc_", r"eyJ[A-Za-z0-9+/=]{40,400}"),
    _format("service_token", "dop_v1_ doo_v1_ dor_v1_", r"[0-9a-f]{64}"),
    _format("service_token", "dapi", r"[0-9a-f]{32}(?:-[0-9])?(?![0-9a-zA-Z])"),
    _format("service_token", "shpat_ shpca_ shppa_ shpss_", r"[0-9a-fA-F]{32}"),
    _format("service_token", "dckr_pat_ dckr_oat_", r"[A-Za-z0-9_-]{27,40}"),
    _format("service_token", "hvs. hvb.", r"[A-Za-z0-9_-]{24,300}"),
    _format("service_token", "ATATT3 ATCTT3 ATBB", r"[A-Za-z0-9_=-]{28,400}"),
    _format("service_token", "lin_api_", r"[A-Za-z0-9]{40}"),
    _format("service_token", "ntn_", r"[0-9]{11}[A-Za-z0-9]{35}"),
    _format("service_token", "figd_", r"[A-Za-z0-9_-]{38,60}"),
    _format("service_token", "NRAK-", r"[A-Z0-9]{27}"),
    _format("service_token", "sntrys_ sntryu_", r"[A-Za-z0-9_=+/-]{40,400}"),
    _format("service_token", "sbp_", r"[0-9a-f]{40}"),
    _format("service_token", "sb_secret_", r"[A-Za-z0-9_-]{22,60}"),
    _format("service_token", "pscale_tkn_ pscale_pw_ pscale_oauth_", r"[A-Za-z0-9_.-]{32,64}"),
    _format("service_token", "PMAK-", r"[0-9a-f]{24}-[0-9a-f]{34}"),
    _format("service_token", "rubygems_", r"[0-9a-f]{48}"),
    _format("service_token", "dp.pt. dp.st. dp.sa.", r"[A-Za-z0-9_.]{40,64}"),
    _format("service_token", "HRKU-", r"[A-Za-z0-9_-]{36,64}"),
    _format("service_token", "tskey-", r"(?:auth|api|client)-[A-Za-z0-9]{10,20}-[A-Za-z0-9]{20,40}"),
    _format("service_token", "phx_ phc_", r"[A-Za-z0-9]{43}"),
    _format("service_token", "pul-", r"[0-9a-f]{40}"),
    _format("service_token", "CFPAT-", r"[A-Za-z0-9_-]{43}"),
    _format(
        "discord_webhook",
        "discord.com/api/webhooks/ discordapp.com/api/webhooks/",
        r"[0-9]{17,20}/[A-Za-z0-9_-]{60,80}",
    ),
    _format("age_key", "AGE-SECRET-KEY-1", r"[A-Z0-9]{58}", has_age_checksum, random=False),
    _format(
        "jwt",
        "eyJ ewo eyA",
        r"[A-Za-z0-9_-]{8,1024}+\.[A-Za-z0-9_-]{8,8192}+\.[A-Za-z0-9_-]{16,1024}",
        is_signed_jwt,
        random=False,
    ),
)
"""Every form. Of those that begin alike the more specific come first."""

DISCORD = _format(
    "service_token",
    # Digits in base64.
    "MD MT Mj Mz ND NT Nj Nz OD OT",
    r"[AEIMQUYcgk][w-z0-5](?:[MNO][DTjz][AEIMQUYcgk][w-z0-5]){4,5}[A-Za-z0-9]{2,4}\.[A-Za-z0-9_-]{6,7}\.[A-Za-z0-9_-]{27,40}(?![A-Za-z0-9_-])",
    ends_at_random,
)
"""The token of a bot of Discord: its number, when it was made, a key. Begins as any digits do, and is told by more."""

BASIC = _format(
    "url_password", "Basic basic", r" [A-Za-z0-9+/]{16,256}={0,2}(?![A-Za-z0-9+/=])", names_a_password, random=False
)
"""Credentials of HTTP's scheme Basic; begins as a common word does, so that it is not looked for in encodings."""
