"""Jobs: each stage over a range of months in one run. Schedules and sensors: what asks for them, unattended.

a new or changed source object        source_sensor        ingest_job of the months that changed
ingest_job succeeded                  after_ingest         predictions_job; training_job too for train and eval
training_job succeeded                after_training       predictions_job of every month, if the champion is new
predictions_job succeeded             after_predictions    monitoring_job of the same months
the 5th of each month                 monthly_predictions  predictions_job of months that have none of the champion
each quarter                          quarterly_training   training_job
three months that warn in a row       retraining_sensor    training_job
any failed run                        failure_notices      a post to HOUSING_WEBHOOK_URL
"""
