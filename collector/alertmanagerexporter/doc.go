// Package alertmanagerexporter sends the alerts that spanguard emits as log records to Prometheus Alertmanager.
//
// It takes the log records whose event name is spanguard.alert and posts them to Alertmanager's API v2; other records
// pass it by unseen. A firing alert ends four resend intervals after the record's time unless it is sent again, so the
// alert of a dead process clears by itself.
package alertmanagerexporter
