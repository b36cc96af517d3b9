"""Each line of the security checklist has its tests, and SECURITY.md says which."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parents[1]
PAGE = TESTS.parent / "SECURITY.md"

# Line of the checklist -> (the promise, the tests that hold it: file without `test_`, test without `test_`).
CHECKLIST: dict[int, tuple[str, tuple[str, ...]]] = {
    1: (
        "no option takes the key, no process list shows it",
        (
            "security_key.01_no_command_takes_a_key_and_the_refusal_does_not_repeat_it",
            "security_key.01_no_process_shows_the_key_in_its_arguments",
            "inspect_openapi.keys_are_not_taken_as_arguments",
        ),
    ),
    2: (
        "no log shows it, whatever level",
        ("security_key.02_debug_logs_of_the_libraries_do_not_show_the_key", "safe_text.redact_by_value"),
    ),
    3: (
        "no error shows it, nor a traceback, nor a signed query",
        ("security_key.03_an_exception_in_a_request_shows_no_key_no_locals_and_no_query",),
    ),
    4: (
        "no file holds it, nor a header or cookie; signed links are cut for people",
        (
            "security_key.04_artifacts_hold_no_header_and_no_cookie",
            "security_key.04_a_signed_link_is_whole_for_machines_and_cut_for_people",
            "submit.the_key_is_nowhere_but_in_its_header",
        ),
    ),
    5: (
        "an echo of it is redacted before it is cut, shown or stored",
        (
            "security_key.05_a_key_that_the_server_echoes_is_neither_shown_nor_stored",
            "security_key.05_a_body_to_explain_that_echoes_the_key_is_shown_without_it",
            "safe_text.redact_base64_at_every_alignment",
        ),
    ),
    6: (
        "a prompt that holds it is refused",
        ("security_key.06_a_key_in_the_request_itself_is_refused_before_anything_is_sent",),
    ),
    7: (
        "a key is one clean header value",
        (
            "security_key.07_blanks_and_line_ends_around_a_key_are_dropped",
            "security_key.07_a_key_with_a_control_character_inside_is_refused",
            "security_key.07_a_key_beyond_latin_1_gets_one_clear_sentence",
        ),
    ),
    8: (
        "it goes to the named origin only, over https",
        (
            "security_origins.08_an_endpoint_elsewhere_is_refused_before_anything_is_sent",
            "security_origins.08_the_servers_of_a_specification_are_no_origin",
            "security_origins.08_plain_http_beyond_this_machine_is_refused",
        ),
    ),
    9: (
        "no call with it follows a redirect",
        (
            "security_origins.09_redirects_never_carry_the_key",
            "security_origins.09_a_redirected_create_names_where_to_and_is_not_sent_again",
        ),
    ),
    10: (
        "netrc does not replace it; proxies carry https only",
        (
            "security_key.10_netrc_does_not_replace_the_key",
            "security_key.10_a_proxy_of_the_environment_is_not_asked_for_loopback",
            "security_key.10_a_proxy_of_the_environment_carries_https_as_a_tunnel",
            "download_links.netrc_and_cookies_add_nothing",
        ),
    ),
    11: (
        "links of an API to its own tasks are followed on its own origin",
        (
            "security_origins.11_a_url_from_the_server_is_followed_on_the_apis_own_origin_only",
            "security_origins.11_no_text_is_followed_to_another_origin",
            "security_foreign.follow_urls_of_a_journal_stay_on_the_apis_own_origin",
        ),
    ),
    12: (
        "a task id is one segment of a path",
        (
            "security_origins.12_and_13_an_odd_id_is_no_id",
            "security_origins.12_an_id_is_one_segment_of_the_path",
            "security_origins.12_ids_on_the_wire_stay_below_their_path",
            "security_origins.12_and_13_the_hostile_ids_of_the_data_folder",
            "wait_generation.an_id_is_one_segment_of_the_path",
        ),
    ),
    13: (
        "an id that is no text is text or no id, never a second payment",
        (
            "security_origins.13_a_number_or_word_as_id_is_taken_as_text",
            "security_origins.13_a_create_without_a_usable_id_is_unknown_not_paid_again",
        ),
    ),
    14: (
        "a run id is a plain name inside its root",
        (
            "security_files.14_a_run_id_that_is_no_plain_name_is_refused_everywhere",
            "security_files.14_what_passes_as_a_run_id_stays_inside_its_root",
            "security_files.14_the_hostile_run_ids_of_the_data_folder",
        ),
    ),
    15: (
        "no symbolic link leads writing elsewhere",
        (
            "security_foreign.15_symlinks_of_a_cloned_repository_lead_no_writing_elsewhere",
            "security_foreign.15_a_link_in_place_of_a_result_is_replaced_and_its_target_untouched",
            "download_limits.a_link_in_the_way_is_replaced_and_never_followed",
        ),
    ),
    16: (
        "two processes with one request pay once: a claim decides, not a lock; dead locks are taken over",
        (
            "create_or_attach.two_processes_at_one_instant_pay_once",
            "create_or_attach.a_run_id_is_of_one_request_only",
            "claims.of_sixteen_that_want_it_one_gets_it",
            "security_files.16_the_lock_of_a_dead_process_is_taken_over",
        ),
    ),
    17: (
        "files are the user's alone and out of git",
        (
            "security_files.17_everything_is_private_whatever_the_umask",
            "download.files_are_private_whatever_the_umask",
        ),
    ),
    18: (
        "a result link leads to public https addresses, however it is spelled",
        (
            "ssrf_guard.a_hostile_link_is_refused_with_its_reason",
            "ssrf_guard.an_ipv4_address_is_judged_alike_in_every_ipv6_disguise",
            "ssrf_guard.every_numeric_host_is_read_as_the_system_reads_it",
            "security_server.18_and_20_a_link_or_redirect_into_the_users_network_is_refused",
        ),
    ),
    19: (
        "the connected peer is judged before a byte is sent",
        (
            "download_links.a_public_name_that_leads_inside_is_found_out_before_a_byte_is_sent",
            "download_links.a_name_over_tls_that_leads_inside_is_found_out_before_the_handshake",
            "download_links.behind_a_proxy_only_names_can_be_judged",
        ),
    ),
    20: (
        "each redirect of a link is judged anew, five at most, never to plain http",
        (
            "download_links.a_redirect_into_the_users_network_is_refused",
            "download_links.a_redirect_never_leaves_https",
            "download_links.a_redirect_without_end_costs_six_requests",
            "download_links.the_key_is_seen_at_the_first_hop_only",
            "security_server.18_and_20_a_link_or_redirect_into_the_users_network_is_refused",
        ),
    ),
    21: (
        "a download has limits of size, time and speed",
        (
            "download_limits.an_endless_body_is_cut_off",
            "download_limits.a_compressed_bomb_is_cut_off",
            "download_limits.a_stalled_server_is_left_and_the_part_kept",
            "download_limits.a_disk_that_is_too_small_is_found_out_before_writing",
            "security_server.21_a_download_without_end_or_without_bytes_ends_by_the_deadline",
        ),
    ),
    22: (
        "what is no whole video is not kept as one",
        (
            "download.what_is_not_the_expected_kind_is_refused",
            "security_server.22_what_is_no_video_is_not_kept_as_one",
            "media_type.every_cut_is_found",
        ),
    ),
    23: (
        "files have our names",
        (
            "security_files.23_a_file_has_our_name_whatever_the_server_calls_it",
            "download.a_file_is_on_disk_under_our_name_with_its_hash_size_and_shape",
        ),
    ),
    24: (
        "bodies are read to a cap, and nothing in one breaks what comes after",
        (
            "security_server.24_a_create_that_is_answered_with_nonsense_is_unknown_and_paid_once",
            "security_server.24_a_poll_survives_every_nonsense_and_the_task_ends_well",
            "security_server.24_huge_numbers_and_lone_surrogates_leave_valid_json_everywhere",
            "security_server.24_a_flood_on_a_create_is_unknown_and_on_a_poll_no_answer",
            "security_server.24_a_gzip_bomb_takes_no_memory",
            "security_server.24_the_parser_of_bodies",
        ),
    ),
    25: (
        "streams have caps of line, event and whole",
        (
            "sse.line_cap",
            "sse.event_cap",
            "sse.stream_cap_ends_streams_that_never_say_anything",
            "sse.what_is_for_connecting_again_says_nothing",
            "sse.content_type",
            "security_server.25_a_stream_that_floods_before_the_id_ends_as_unknown",
            "security_server.25_a_page_instead_of_a_stream_is_unknown_with_an_excerpt",
        ),
    ),
    26: (
        "specifications are limited in size, depth and aliases, and told by content",
        (
            "yaml12.thirty_thousand_brackets_do_not_kill_the_process",
            "yaml12.billion_laughs_needs_few_aliases_and_is_refused",
            "yaml12.bad_documents_are_one_error",
            "openapi_loading.what_is_refused_says_what_it_is",
            "openapi_loading.yaml_in_a_json_file_and_json_in_a_yaml_file",
            "openapi_loading.duplicate_keys_are_warned_of",
        ),
    ),
    27: (
        "references lead to neighbour files only",
        (
            "openapi_loading.nothing_outside_the_folder_is_read_or_fetched",
            "openapi_loading.a_url_has_no_neighbours",
            "openapi_endpoints.pages_outside_the_folder_are_not_opened",
        ),
    ),
    28: (
        "schemas that explode end as an error or a warning",
        (
            "openapi_schemas.doubling_schemas_end",
            "openapi_schemas.schemas_that_contain_themselves_in_place_are_cut",
            "openapi_schemas.a_pattern_that_hangs_is_given_up_and_named",
            "openapi_validation.bombs_end_as_an_error",
        ),
    ),
    29: (
        "values of a specification are data",
        ("security_supply.29_defaults_that_name_files_and_addresses_are_values",),
    ),
    30: (
        "server text cannot act on a terminal",
        (
            "security_text.30_and_31_and_33_server_text_is_inert_everywhere",
            "security_text.30_json_on_a_terminal_means_the_same_and_shows_nothing",
            "safe_text.every_character_is_judged",
            "inspect_openapi.hostile_text_of_a_specification_is_inert",
        ),
    ),
    31: (
        "server text stands in marked fields and gives no advice",
        (
            "security_text.30_and_31_and_33_server_text_is_inert_everywhere",
            "security_text.31_an_injected_hint_of_the_classifier_is_no_guidance",
            "security_text.31_the_remote_list_is_inert",
        ),
    ),
    32: (
        "success needs a terminal status and a result",
        (
            "security_server.32_a_success_needs_a_terminal_status_in_the_tasks_own_body",
            "security_server.32_a_success_without_a_result_is_an_outcome_of_its_own",
            "security_server.32_what_normalize_takes_for_a_success",
            "create_and_wait.a_terminal_event_name_proves_nothing",
        ),
    ),
    33: (
        "result.md is ours: server text in it is code",
        (
            "security_text.33_a_result_page_of_any_values_is_ours",
            "safe_text.nothing_ends_the_fence_from_inside",
            "safe_text.a_commonmark_parser_sees_code_only",
        ),
    ),
    34: (
        "prompts arrive as typed, printed commands are quoted",
        (
            "security_text.34_prompts_arrive_as_they_were_typed",
            "security_text.34_any_prompt_is_one_json_string_and_one_identity",
            "security_text.34_the_command_that_goes_on_is_quoted_for_a_shell",
            "security_text.34_the_command_that_goes_on_works",
        ),
    ),
    35: (
        "nothing is downloaded to be run, evaluated or unpickled; safe versions are required",
        (
            "security_supply.35_nothing_is_evaluated_unpickled_or_run_by_a_shell",
            "security_supply.35_certificates_are_always_checked",
            "security_supply.35_the_required_versions_are_those_with_the_fixes",
        ),
    ),
    36: (
        "tests cannot leave the machine",
        (
            "isolation.a_public_address_is_refused_and_recorded",
            "isolation.a_public_name_is_refused_before_it_is_looked_up",
            "isolation.a_started_script_is_guarded_too",
        ),
    ),
}

BEYOND: dict[str, tuple[str, ...]] = {
    "profiles from elsewhere carry no key out": (
        "security_foreign.a_foreign_profile_may_name_no_key_of_a_shipped_one",
        "security_foreign.a_foreign_profile_reads_its_own_variable_whatever_it_names",
        "security_foreign.a_foreign_profile_may_not_take_a_shipped_name",
        "security_foreign.a_foreign_profile_cannot_borrow_a_key_by_extending_a_shipped_one",
        "security_foreign.a_planted_cache_or_home_gives_no_origin",
    ),
    "run folders from elsewhere name no origin, profile or file": (
        "security_foreign.a_run_folder_names_no_origin",
        "security_foreign.a_run_folder_names_no_profile",
        "security_foreign.a_run_folder_does_not_turn_a_rehearsal_into_the_real_thing",
        "security_foreign.a_journal_sends_the_key_to_no_other_origin",
        "security_foreign.a_journal_passes_no_file_of_the_users_off_as_the_result",
        "security_foreign.a_poisoned_run_folder_cannot_act_on_its_reader",
        "security_foreign.from_takes_an_id_and_a_shipped_name_out_of_a_foreign_file_and_nothing_else",
    ),
    "only pictures, videos and sounds are sent as such": (
        "security_files.an_injected_image_that_is_no_image_is_refused_by_its_content",
        "security_files.an_image_that_links_to_a_secret_is_refused_all_the_same",
        "media_type.plain_text_is_never_media",
    ),
    "a page of runs is text of others and script of ours": (
        "gallery.hostile_texts_stay_texts",
        "gallery.no_link_leads_to_a_page_or_out_of_the_run",
        "gallery.a_planted_link_is_neither_shown_nor_written_through",
        "gallery_browser.nothing_hostile_acts_and_nothing_is_asked_of_a_network",
    ),
    "a tool of the server pays only for a plan that was shown, once, and says whose words a text is": (
        "tools.a_confirmation_is_good_once_for_ten_minutes_and_one_request",
        "tools.the_file_that_was_shown_is_the_file_that_is_sent",
        "tools.a_client_that_can_ask_is_made_to",
        "tools.limits_given_at_start_bind",
        "tools.our_words_name_tools_and_nobody_elses_are_touched",
        "tools.what_an_api_answered_is_bounded_and_harmless",
    ),
}


@cache
def names_in(file: str) -> frozenset[str]:
    path = next(TESTS.rglob(f"test_{file}.py"), None)
    if path is None:
        return frozenset()
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return frozenset(node.name.removeprefix("test_") for node in tree.body if isinstance(node, ast.FunctionDef))


def test_every_line_of_the_checklist_is_there() -> None:
    assert list(CHECKLIST) == list(range(1, 37))


@pytest.mark.parametrize("line", [*CHECKLIST, *BEYOND])
def test_every_promise_has_tests_that_exist(line: int | str) -> None:
    named = CHECKLIST[line][1] if isinstance(line, int) else BEYOND[line]
    assert named
    for name in named:
        file, _, test = name.partition(".")
        assert test in names_in(file), f"{line}: tests/test_{file}.py has no test_{test}"


def test_every_numbered_test_is_in_the_table() -> None:
    for path in sorted(TESTS.rglob("test_security_*.py")):
        file = path.stem.removeprefix("test_")
        for test in names_in(file):
            numbers = [int(number) for number in re.findall(r"(?:^|_and_)(\d\d)(?=_)", test)]
            for number in numbers:
                told = {name.split(".")[1] for name in CHECKLIST[number][1]}
                assert test in told or len(told & {t for t in names_in(file) if f"{number:02d}_" in t}), test


def table() -> str:
    """The table of SECURITY.md."""
    rows = ["| | promise | tests |", "|---|---|---|"]
    for line, (promise, names) in CHECKLIST.items():
        rows.append(f"| {line} | {promise} | {_cell(names)} |")
    rows += [f"| + | {promise} | {_cell(names)} |" for promise, names in BEYOND.items()]
    return "\n".join(rows) + "\n"


def _cell(names: tuple[str, ...]) -> str:
    files: dict[str, list[str]] = {}
    for name in names:
        file, _, test = name.partition(".")
        files.setdefault(file, []).append(f"`{test}`")
    return "; ".join(f"{file}: {', '.join(tests)}" for file, tests in files.items())


def test_the_page_has_this_table() -> None:
    """To renew it: python3 -c 'import test_security_map as m; print(m.table())', in tests/security."""
    text = PAGE.read_text(encoding="utf-8")
    assert text.endswith("\n\n" + table())
