#include "codec/alias_zone.h"

#include <string.h>

#include "base/text.h"

/* Application and classic load balancers are NAME.REGION.elb.amazonaws.com, network ones
 * NAME.elb.REGION.amazonaws.com; they lie in different zones. */
static const struct {
    const char *suffix, *zone_id;
} zone_table[] = {
    {".us-east-1.elb.amazonaws.com", "Z35SXDOTRQ7X7K"},
    {".us-east-2.elb.amazonaws.com", "Z3AADJGX6KTTL2"},
    {".us-west-1.elb.amazonaws.com", "Z368ELLRRE2KJ0"},
    {".us-west-2.elb.amazonaws.com", "Z1H1FL5HABSF5"},
    {".ca-central-1.elb.amazonaws.com", "ZQSVJUPU6J1EY"},
    {".sa-east-1.elb.amazonaws.com", "Z2P70J7HTTTPLU"},
    {".eu-central-1.elb.amazonaws.com", "Z215JYRZR1TBD5"},
    {".eu-west-1.elb.amazonaws.com", "Z32O12XQLNTSW2"},
    {".eu-west-2.elb.amazonaws.com", "ZHURV8PSTC4K8"},
    {".eu-west-3.elb.amazonaws.com", "Z3Q77PNBQS71R4"},
    {".eu-north-1.elb.amazonaws.com", "Z23TAZ6LKFMNIO"},
    {".eu-south-1.elb.amazonaws.com", "Z3ULH7SSC9OV64"},
    {".ap-south-1.elb.amazonaws.com", "ZP97RAFLXTNZK"},
    {".ap-southeast-1.elb.amazonaws.com", "Z1LMS91P8CMLE5"},
    {".ap-southeast-2.elb.amazonaws.com", "Z1GM3OXH4ZPM65"},
    {".ap-northeast-1.elb.amazonaws.com", "Z14GRHDCWA56QT"},
    {".ap-northeast-2.elb.amazonaws.com", "ZWKZPGTI48KDX"},
    {".elb.us-east-1.amazonaws.com", "Z26RNL4JYFTOTI"},
    {".elb.us-east-2.amazonaws.com", "ZLMOA37VPKANP"},
    {".elb.us-west-1.amazonaws.com", "Z24FKFUX50B4VW"},
    {".elb.us-west-2.amazonaws.com", "Z18D5FSROUN65G"},
    {".elb.ca-central-1.amazonaws.com", "Z2EPGBW3API2WT"},
    {".elb.sa-east-1.amazonaws.com", "ZTK26PT1VY4CU"},
    {".elb.eu-central-1.amazonaws.com", "Z3F0SRJ5LGBH90"},
    {".elb.eu-west-1.amazonaws.com", "Z2IFOLAFXWLO4F"},
    {".elb.eu-west-2.amazonaws.com", "ZD4D7Y8KGAS4G"},
    {".elb.eu-west-3.amazonaws.com", "Z1CMS0P5QUZ6D5"},
    {".elb.eu-north-1.amazonaws.com", "Z1UDT6IFJ4EJM"},
    {".elb.eu-south-1.amazonaws.com", "Z23146JA1KNAFP"},
    {".elb.ap-south-1.amazonaws.com", "ZVDDRBQ08TROA"},
    {".elb.ap-southeast-1.amazonaws.com", "ZKVM4W9LS7TM"},
    {".elb.ap-southeast-2.amazonaws.com", "ZCT6FZBF4DROD"},
    {".elb.ap-northeast-1.amazonaws.com", "Z31USIVHYNEOWT"},
    {".elb.ap-northeast-2.amazonaws.com", "ZIBE1TIR4HY56"},
    {".cloudfront.net", "Z2FDTNDATAQYW2"},
    {".awsglobalaccelerator.com", "Z2BJ6XQ5FK7U4H"},
};

const char *alias_zone_find(const char *dns_name) {
    size_t length = strlen(dns_name);
    length -= length > 0 && dns_name[length - 1] == '.';
    for (size_t i = 0; i < ARRAY_LENGTH(zone_table); i++) {
        size_t suffix = strlen(zone_table[i].suffix);
        if (length > suffix &&
            memcmp(dns_name + length - suffix, zone_table[i].suffix, suffix) == 0) {
            return zone_table[i].zone_id;
        }
    }
    return NULL;
}
