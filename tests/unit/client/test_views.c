/* Documents as tables: the usual ones in full, and never a crash for a document of another version.
 */
#include "client_test.h"

#include "views.h"

static const view_function views[] = {
    view_status,          view_service, view_explain, view_plan,  view_history,
    view_history_of_move, view_nodes,   view_version, view_event, view_findings,
};

static void shows(view_function view, const char *json, const char *wanted) {
    json_t *document = json_of(json);
    char *text = printed(document, view);
    assert_string_equal(text, wanted);
    free(text);
    json_decref(document);
}

static void test_status(void **state) {
    (void)state;
    shows(view_status,
          "{\"cluster\": \"prod\", \"leader\": \"n2\", \"nodes\": {\"seen\": 3, \"total\": 3},"
          " \"automation\": \"on\", \"spare_observers\": 0, \"services\": ["
          "{\"name\": \"nocturnal\", \"active\": \"us-east-1\", \"epoch\": 7, \"mode\": \"auto\","
          " \"state\": \"ok\", \"target\": \"us-west-2\", \"lag_ms\": 400,"
          " \"if_active_died\": \"moves in ~40s\"},"
          "{\"name\": \"reports\", \"active\": null, \"epoch\": 0, \"mode\": \"observe\","
          " \"state\": \"not adopted\", \"target\": null, \"lag_ms\": null}]}",
          "prod  leader n2  nodes 3/3  automation on  spare observers 0\n"
          "SERVICE    ACTIVE     EPOCH  MODE     STATE        TARGET     LAG   IF ACTIVE DIED NOW\n"
          "nocturnal  us-east-1  7      auto     ok           us-west-2  0.4s  moves in ~40s\n"
          "reports    -          0      observe  not adopted  -          -     -\n");
    shows(view_status,
          "{\"cluster\": \"prod\", \"leader\": null, \"nodes\": {\"seen\": 1, \"total\": 3},"
          " \"automation\": \"off\", \"spare_observers\": -1, \"stale\": true, \"age_ms\": 51000}",
          "prod  leader none  nodes 1/3  automation off  observers TOO FEW  STALE: as of 51s ago\n"
          "SERVICE  ACTIVE  EPOCH  MODE  STATE  TARGET  LAG  IF ACTIVE DIED NOW\n"
          "No service yet. Next: noctuactl spec apply FILE\n");
}

static void test_service(void **state) {
    (void)state;
    shows(view_service,
          "{\"nodes\": [{\"name\": \"n1\", \"region\": \"east\"}, {\"name\": \"n2\", \"region\":"
          " \"west\"}], \"regions\": [{\"name\": \"us-east-1\", \"active\": true, \"verdict\":"
          " \"down\", \"opinions\": [null, \"down\"], \"worst\": {\"check\": \"api\", \"code\":"
          " \"timeout\", \"failing_ms\": 19000}}, {\"name\": \"us-west-2\", \"verdict\": \"up\","
          " \"opinions\": [\"up\"]}], \"sentence\": \"Confirming 12s of 30s.\", \"execution\":"
          " {\"phase\": \"running\", \"kind\": \"failover\", \"from\": \"us-east-1\", \"to\":"
          " \"us-west-2\", \"epoch\": 8, \"actor\": \"auto\", \"declared_dead\": [\"e1:1\","
          " \"x1:1\"], \"steps\": [{\"name\": \"dns\","
          " \"phase\": \"attempted\", \"took_ms\": 300, \"attempts\": 2, \"target\": \"Z1\","
          " \"detail\": \"a -> b\", \"trouble\": \"503\"}]}}",
          "REGION       VERDICT  n1/east  n2/west  WORST CHECK\n"
          "us-east-1 *  down     -        down     api timeout 19s\n"
          "us-west-2    up       up       -        -\n"
          "Confirming 12s of 30s.\n"
          "Open failover: us-east-1 -> us-west-2  epoch 8  by auto  running\n"
          "Declared dead: e1:1, x1:1\n"
          "STEP  STATE      TOOK  TRIES  TARGET\n"
          "dns   attempted  0.3s  2      Z1  503\n");
}

static void test_service_with_a_set(void **state) {
    (void)state;
    shows(view_service,
          "{\"nodes\": [], \"regions\": [], \"mongo\": {\"name\": \"rs0\", \"read\": true,"
          " \"primary\": \"e1:27017\", \"primary_region\": \"east\", \"write_age_ms\": 400,"
          " \"writes_per_s\": 130.85,"
          " \"members\": [{\"host\": \"e1:27017\", \"region\": \"east\", \"state\":"
          " \"PRIMARY\", \"writable\": true, \"lag_ms\": 0, \"age_ms\": 800, \"priority\": 2,"
          " \"votes\": true, \"trouble\": null}, {\"host\": \"w1:27017\", \"region\": null,"
          " \"state\": \"UNKNOWN\", \"writable\": false, \"hidden\": true, \"lag_ms\": null,"
          " \"age_ms\": null, \"priority\": 0.5, \"votes\": false, \"trouble\":"
          " \"timeout\"}]}}",
          "REGION  VERDICT  WORST CHECK\n"
          "Replica set rs0: e1:27017 takes writes, in east; w:majority write 0.4s ago; ~131"
          " writes/s\n"
          "MEMBER    REGION  STATE            LAG  AGE   PRIORITY  VOTES  TROUBLE\n"
          "e1:27017  east    PRIMARY, writes  0ms  0.8s  2         1      -\n"
          "w1:27017  -       UNKNOWN, hidden  -    -     0.5       0      timeout\n");
    shows(view_service,
          "{\"nodes\": [], \"regions\": [], \"mongo\": {\"name\": \"rs0\", \"read\": false,"
          " \"primary\": null, \"members\": []}}",
          "REGION  VERDICT  WORST CHECK\n"
          "Replica set rs0: its config was never read\n"
          "MEMBER  REGION  STATE  LAG  AGE  PRIORITY  VOTES  TROUBLE\n");
}

/* The set's majority is lost, and what a person can do; a member that lost its vote earlier. */
static void test_service_with_a_minority(void **state) {
    (void)state;
    shows(view_service,
          "{\"name\": \"nocturnal\", \"mongo\": {\"name\": \"rs0\", \"read\": true, \"primary\":"
          " null, \"majority\": false, \"voters\": 5, \"voters_answering\": 2, \"members\": []},"
          " \"choices\": [\"wait\", \"noctuactl failover nocturnal\"]}",
          "REGION  VERDICT  WORST CHECK\n"
          "Replica set rs0: no primary takes writes: 2 of 5 voters answer, no majority\n"
          "MEMBER  REGION  STATE  LAG  AGE  PRIORITY  VOTES  TROUBLE\n"
          "Choices:\n"
          "  wait\n"
          "  noctuactl failover nocturnal\n");
    shows(view_service,
          "{\"name\": \"nocturnal\", \"mongo\": {\"name\": \"rs0\", \"read\": true, \"primary\":"
          " null, \"majority\": true, \"members\": [{\"host\": \"e1:27017\", \"kept_out\": true},"
          " {\"host\": \"e2:27017\", \"kept_out\": true, \"trouble\": \"timeout\"}],"
          " \"left_out\": [\"x1:27017\"], \"imposing\": [\"x1:27017\"]}}",
          "REGION  VERDICT  WORST CHECK\n"
          "Replica set rs0: no primary takes writes\n"
          "MEMBER    REGION  STATE  LAG  AGE  PRIORITY  VOTES  TROUBLE\n"
          "e1:27017  -       -      -    -    0         0      no vote since a forced "
          "reconfiguration: noctuactl mongo readmit nocturnal e1:27017\n"
          "e2:27017  -       -      -    -    0         0      timeout; no vote since a forced "
          "reconfiguration\n"
          "x1:27017 is out of the set since a forced reconfiguration: when it runs, noctuactl "
          "mongo readmit nocturnal x1:27017\n"
          "x1:27017 may have a config of a newer term than the set, which would win: start it only "
          "with an empty data directory\n");
}

static void shows_trouble(const char *fields, const char *trouble) {
    char json[1024];
    char wanted[512];
    (void)snprintf(json, sizeof json,
                   "{\"nodes\": [], \"regions\": [], \"mongo\": {\"name\": \"rs0\", \"read\":"
                   " true, \"primary\": null, \"members\": [{\"host\": \"e\", \"region\": \"r\","
                   " \"lag_ms\": 0, \"age_ms\": 0, \"priority\": 1, \"votes\": true, %s}]}}",
                   fields);
    (void)snprintf(wanted, sizeof wanted,
                   "REGION  VERDICT  WORST CHECK\n"
                   "Replica set rs0: no primary takes writes\n"
                   "MEMBER  REGION  STATE  LAG  AGE  PRIORITY  VOTES  TROUBLE\n"
                   "e       r       S      0ms  0ms  1         1      %s\n",
                   trouble);
    shows(view_service, json, wanted);
}

static void test_rollbacks(void **state) {
    (void)state;
    shows_trouble("\"state\": \"S\", \"trouble\": null, \"rollback_age_ms\": null", "-");
    shows_trouble("\"state\": \"S\", \"trouble\": null, \"rollback_age_ms\": 721000",
                  "rolled back 12m01s ago: see rollback/ below its data directory");
    shows_trouble("\"state\": \"S\", \"trouble\": \"timeout\", \"rollback_age_ms\": 721000",
                  "timeout; rolled back 12m01s ago: see rollback/ below its data directory");
    shows_trouble("\"state\": \"S\", \"trouble\": \"refused\", \"rollback_age_ms\": 2000,"
                  " \"silent_in_rollback\": true",
                  "refused; stopped answering while rolling back");
    shows_trouble("\"state\": \"S\", \"trouble\": null, \"rollback_age_ms\": 86400001", "-");
    shows(view_service,
          "{\"nodes\": [], \"regions\": [], \"mongo\": {\"name\": \"rs0\", \"read\": true,"
          " \"primary\": null, \"members\": [{\"host\": \"e\", \"state\": \"ROLLBACK\","
          " \"rollback_age_ms\": 300}]}}",
          "REGION  VERDICT  WORST CHECK\n"
          "Replica set rs0: no primary takes writes\n"
          "MEMBER  REGION  STATE     LAG  AGE  PRIORITY  VOTES  TROUBLE\n"
          "e       -       ROLLBACK  -    -    0         0      -\n");
}

static void test_explain(void **state) {
    (void)state;
    shows(view_explain,
          "{\"headline\": \"NOT MOVED\", \"why\": \"cooldown fails\", \"gates\": [{\"gate\":"
          " \"cooldown\", \"value\": \"2m\", \"limit\": \"30m\", \"result\": \"FAIL\"}],"
          " \"loss\": {\"text\": \"none acked w:majority; w:1 ~94s\"},"
          " \"sent\": \"Nothing was sent to any target.\", \"evidence\": [18211, 18213],"
          " \"choices\": [\"wait\", \"veto\"]}",
          "NOT MOVED: cooldown fails\n"
          "GATE      VALUE  LIMIT  RESULT\n"
          "cooldown  2m     30m    FAIL\n"
          "Loss: none acked w:majority; w:1 ~94s.\n"
          "Nothing was sent to any target. Evidence: log 18211 18213.\n"
          "Choices:\n  wait\n  veto\n");
}

static void test_plan(void **state) {
    (void)state;
    shows(
        view_plan,
        "{\"from\": \"us-east-1\", \"to\": \"us-west-2\", \"epoch\": {\"old\": 7, \"new\": 8},"
        " \"plan\": \"9f3c21\", \"rto_ms\": 900000, \"steps\": [{\"name\": \"switch\", \"target\":"
        " \"nocturnal\", \"now\": \"east\", \"then\": \"west\", \"needs\": []}, {\"name\":"
        " \"dns\", \"target\": \"Z1\", \"now\": \"east\", \"then\": \"west\", \"needs\":"
        " [\"switch\", \"settle\"]}], \"loss\": {\"text\": \"none acked\"}, \"passing\": 13, "
        "\"total\": 14, \"gates\": [{\"gate\":"
        " \"paused\", \"result\": \"pass\"}, {\"gate\": \"cooldown\", \"result\": \"FAIL\","
        " \"value\": \"2m\", \"limit\": \"30m\", \"doc\": \"too soon\"}]}",
        "us-east-1 -> us-west-2  epoch 7 -> 8  plan 9f3c21  RTO 15m00s\n"
        "STEP    TARGET     NOW -> THEN   NEEDS\n"
        "switch  nocturnal  east -> west  -\n"
        "dns     Z1         east -> west  switch settle\n"
        "Gates: 13 of 14 pass. Loss: none acked.\n"
        "  cooldown FAIL: 2m (limit 30m); too soon\n");
}

/* The last thing that is read before the name is typed. */
static void test_forced_plan(void **state) {
    (void)state;
    shows(view_plan,
          "{\"from\": \"us-east-1\", \"to\": \"us-west-2\", \"epoch\": {\"old\": 7, \"new\": 8},"
          " \"plan\": \"9f3c21\", \"steps\": [{\"name\": \"force\", \"target\": \"rs0 w1:27017\","
          " \"now\": \"no majority\", \"then\": \"survivors only\", \"needs\": []}], \"passing\":"
          " 14, \"total\": 14, \"gates\": [], \"forced\": {\"asked\": \"w1:27017\", \"sentences\":"
          " [\"rs0 goes on without e1:27017: 2 voters are left.\", \"us-east-1 is declared dead by"
          " you.\"]}}",
          "us-east-1 -> us-west-2  epoch 7 -> 8  plan 9f3c21\n"
          "STEP   TARGET        NOW -> THEN                    NEEDS\n"
          "force  rs0 w1:27017  no majority -> survivors only  -\n"
          "Gates: 14 of 14 pass.\n"
          "FORCED RECONFIGURATION:\n"
          "  rs0 goes on without e1:27017: 2 voters are left.\n"
          "  us-east-1 is declared dead by you.\n");
    shows(view_plan, "{\"from\": \"a\", \"to\": \"b\", \"forced\": {\"sentences\": [7]}}",
          "a -> b  epoch 0 -> 0  plan \n"
          "STEP  TARGET  NOW -> THEN  NEEDS\n"
          "Gates: 0 of 0 pass.\n");
}

static void test_history(void **state) {
    (void)state;
    shows(
        view_history_of_move,
        "{\"moves\": [{\"epoch\": 8, \"at\": \"2026-11-23T03:07:11.204Z\", \"service\": \"a\","
        " \"to\": \"west\", \"kind\": \"failover\", \"by\": \"auto\", \"took_ms\": 72000, \"lost\":"
        " \"0\", \"result\": \"done\"}, {\"epoch\": 7, \"at\": \"2026-11-22T03:07:11.204Z\","
        " \"service\": \"a\", \"to\": \"east\", \"kind\": \"failover\", \"by\": \"alice\","
        " \"took_ms\": 94000, \"lost\": \"~4.2s, ~550 writes\", \"result\": \"half-moved\"},"
        " {\"epoch\": null, \"at\": \"2026-11-19T11:20:00.000Z\","
        " \"service\": \"a\", \"to\": \"west\", \"kind\": \"would-have\", \"by\": \"auto\","
        " \"took_ms\": null, \"lost\": null, \"result\": \"observe\"}], \"events\": [{\"at\":"
        " \"2026-11-23T03:07:11.204Z\", \"kind\": \"suspect\", \"service\": \"a\", \"text\":"
        " \"us-east-1 down\"}]}",
        "EPOCH  UTC               SERVICE  TO    KIND        BY     TOOK  LOST                "
        "RESULT\n"
        "8      2026-11-23 03:07  a        west  failover    auto   72s   0                   "
        "done\n"
        "7      2026-11-22 03:07  a        east  failover    alice  94s   ~4.2s, ~550 writes  "
        "half-moved\n"
        "-      2026-11-19 11:20  a        west  would-have  auto   -     -                   "
        "observe\n"
        "03:07:11.204  suspect      a  us-east-1 down\n");
}

static void test_nodes(void **state) {
    (void)state;
    shows(view_nodes,
          "{\"nodes\": [{\"name\": \"n1\", \"region\": \"east\", \"role\": \"silent\","
          " \"applied_index\": 18190, \"behind_ms\": 51000, \"control\": null,"
          " \"certificate_days\": null, \"version\": \"0.3.0\"}, {\"name\": \"n2\", \"region\":"
          " \"west\", \"role\": \"leader\", \"applied_index\": null, \"behind_ms\": 0, \"control\":"
          " {\"reachable\": 2, \"total\": 2}, \"certificate_days\": 61}, {\"name\": \"n4\","
          " \"region\": null, \"role\": \"joining\", \"applied_index\": null, \"behind_ms\": null,"
          " \"control\": null, \"certificate_days\": null, \"match_index\": 60, \"last_index\":"
          " 100}], \"sentence\": \"Quorum 2 of 3.\"}",
          "NODE  REGION  ROLE     APPLIED  BEHIND      CONTROL  CERT  VERSION\n"
          "n1    east    silent   18190    51s         ?        ?     0.3.0\n"
          "n2    west    leader   -        0ms         2/2      61d   -\n"
          "n4    -       joining  -        40 entries  ?        ?     -\n"
          "Quorum 2 of 3.\n");
}

static void test_findings(void **state) {
    (void)state;
    shows(view_findings,
          "{\"file\": \"s.yaml\", \"findings\": [{\"line\": 3, \"column\": 7, \"severity\":"
          " \"error\", \"message\": \"unknown key\"}]}",
          "s.yaml:3:7: error: unknown key\n");
}

/* --- whatever comes: documents with parts missing, null, or of another kind --- */

static void survive(const json_t *document) {
    for (size_t i = 0; i < ARRAY_LENGTH(views); i++) {
        char *text = printed(document, views[i]);
        assert_non_null(text);
        free(text);
    }
}

static void test_documents_that_are_none(void **state) {
    static const char *const texts[] = {"null", "[]",  "{}",      "7",        "\"x\"",
                                        "true", "1.5", "[[],{}]", "[null, 7]"};
    (void)state;
    survive(NULL);
    for (size_t i = 0; i < ARRAY_LENGTH(texts); i++) {
        json_t *document = json_of(texts[i]);
        survive(document);
        json_decref(document);
    }
}

/* Every key that a view asks for, in every document at once. */
#define EVERYTHING                                                                                 \
    "{\"cluster\": \"c\", \"leader\": \"n1\", \"automation\": \"on\", \"spare_observers\": 1,"     \
    " \"stale\": true, \"age_ms\": 5, \"sentence\": \"s\", \"headline\": \"h\", \"why\": \"w\","   \
    " \"sent\": \"x\", \"from\": \"a\", \"to\": \"b\", \"plan\": \"p\", \"rto_ms\": 7,"            \
    " \"passing\": 1, \"total\": 2, \"file\": \"f\", \"at\": \"2026-11-23T03:07:11.204Z\","        \
    " \"kind\": \"k\", \"service\": \"s\", \"text\": \"t\", \"version\": \"v\", \"node\": \"n\","  \
    " \"feature_level\": 1, \"epoch\": {\"old\": 1, \"new\": 2}, \"evidence\": [1, 2],"            \
    " \"choices\": [\"a\", \"b\"],"                                                                \
    " \"nodes\": [{\"name\": \"n1\", \"region\": \"r\", \"role\": \"leader\", \"applied_index\":"  \
    " 1, \"behind_ms\": 1, \"control\": {\"reachable\": 1, \"total\": 1}, \"certificate_days\":"   \
    " 1, \"version\": \"v\"}],"                                                                    \
    " \"services\": [{\"name\": \"s\", \"active\": \"a\", \"epoch\": 1, \"mode\": \"auto\","       \
    " \"state\": \"ok\", \"target\": \"b\", \"lag_ms\": 1, \"if_active_died\": \"x\"}],"           \
    " \"regions\": [{\"name\": \"a\", \"active\": true, \"verdict\": \"up\", \"opinions\":"        \
    " [\"up\"], \"worst\": {\"check\": \"c\", \"code\": \"tls\", \"failing_ms\": 1}}],"            \
    " \"gates\": [{\"gate\": \"g\", \"value\": \"1\", \"limit\": \"2\", \"result\": \"FAIL\","     \
    " \"doc\": \"d\"}],"                                                                           \
    " \"steps\": [{\"name\": \"dns\", \"target\": \"z\", \"now\": \"a\", \"then\": \"b\","         \
    " \"needs\": [\"switch\"]}],"                                                                  \
    " \"execution\": {\"phase\": \"ended\", \"kind\": \"k\", \"from\": \"a\", \"to\": \"b\","      \
    " \"epoch\": 1, \"actor\": \"x\", \"result\": \"done\", \"steps\": [{\"name\": \"dns\","       \
    " \"phase\": \"done\", \"took_ms\": 1, \"attempts\": 1, \"target\": \"z\", \"detail\":"        \
    " \"d\", \"trouble\": \"t\"}]},"                                                               \
    " \"moves\": [{\"epoch\": 1, \"at\": \"2026-11-23T03:07:11.204Z\", \"service\": \"s\","        \
    " \"to\": \"b\", \"kind\": \"k\", \"by\": \"x\", \"took_ms\": 1, \"lost\": \"0\", \"result\":" \
    " \"done\"}], \"events\": [{\"at\": \"x\", \"kind\": \"k\", \"service\": \"s\", \"text\":"     \
    " \"t\"}], \"findings\": [{\"line\": 1, \"column\": 1, \"severity\": \"error\", \"message\":"  \
    " \"m\"}]}"

/* Puts each of these in the place of each part of a document, one at a time. */
static void spoil(const json_t *document, json_t *at) {
    static const char *const spoilt[] = {"null", "7", "-7", "\"\"", "[]", "{}", "[null]", "true"};
    const char *key;
    json_t *member;
    void *next;
    if (json_is_object(at)) {
        json_object_foreach_safe(at, next, key, member) {
            char name[64];
            json_t *kept = json_incref(member);
            assert_true(TEXT_COPY(name, key));
            spoil(document, member);
            for (size_t i = 0; i < ARRAY_LENGTH(spoilt); i++) {
                assert_int_equal(json_object_set_new(at, name, json_of(spoilt[i])), 0);
                survive(document);
            }
            assert_int_equal(json_object_set_new(at, name, kept), 0);
        }
    }
    for (size_t place = 0; json_is_array(at) && place < json_array_size(at); place++) {
        json_t *kept = json_incref(json_array_get(at, place));
        spoil(document, kept);
        for (size_t i = 0; i < ARRAY_LENGTH(spoilt); i++) {
            assert_int_equal(json_array_set_new(at, place, json_of(spoilt[i])), 0);
            survive(document);
        }
        assert_int_equal(json_array_set_new(at, place, kept), 0);
    }
}

static void test_spoilt_documents(void **state) {
    json_t *document = json_of(EVERYTHING);
    json_t *before = json_deep_copy(document);
    (void)state;
    survive(document);
    spoil(document, document);
    assert_true(json_equal(document, before));
    json_decref(before);
    json_decref(document);
}

static void test_more_and_longer_than_expected(void **state) {
    char words[3000];
    json_t *document = json_of(EVERYTHING);
    (void)state;
    memset(words, 'w', sizeof words - 1);
    words[sizeof words - 1] = '\0';
    json_t *nodes = json_object_get(document, "nodes");
    json_t *needs = json_object_get(json_array_get(json_object_get(document, "steps"), 0), "needs");
    json_t *region = json_array_get(json_object_get(document, "regions"), 0);
    for (int i = 0; i < 40; i++) {
        assert_int_equal(
            json_array_append_new(nodes, json_pack("{s: s, s: s}", "name", words, "region", words)),
            0);
        assert_int_equal(json_array_append_new(needs, json_string("another-step")), 0);
        assert_int_equal(
            json_array_append_new(json_object_get(region, "opinions"), json_string("down")), 0);
    }
    static const char *const keys[] = {"at", "sentence", "plan", "from", "to", "headline"};
    for (size_t i = 0; i < ARRAY_LENGTH(keys); i++) {
        assert_int_equal(json_object_set_new(document, keys[i], json_string(words)), 0);
    }
    json_t *worst = json_object_get(region, "worst");
    assert_int_equal(json_object_set_new(worst, "check", json_string(words)), 0);
    survive(document);
    json_decref(document);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_status),
        cmocka_unit_test(test_service),
        cmocka_unit_test(test_service_with_a_set),
        cmocka_unit_test(test_service_with_a_minority),
        cmocka_unit_test(test_rollbacks),
        cmocka_unit_test(test_explain),
        cmocka_unit_test(test_plan),
        cmocka_unit_test(test_forced_plan),
        cmocka_unit_test(test_history),
        cmocka_unit_test(test_nodes),
        cmocka_unit_test(test_findings),
        cmocka_unit_test(test_documents_that_are_none),
        cmocka_unit_test(test_spoilt_documents),
        cmocka_unit_test(test_more_and_longer_than_expected),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
