"""Jobs: each stage over a range of months in one run. Schedules and sensors: what asks for them, unattended.

a new or changed source               source_sensor        sources_job
months that new vintages change       source_sensor        ingest_job of these months
sound months that go no further       after_ingest         what they lack: cleaning, training, predictions, forecasts
predictions that were not measured    after_predictions    monitoring_job of these months
the 5th of each month                 monthly_predictions  predictions_job of months that have none of the champion
each quarter                          quarterly_training   training_job
three months that warn in a row       retraining_sensor    training_job
any failed run                        failure_notices      a post to HOUSING_WEBHOOK_URL
"""
