// Who is mailed, and when: events that did not arrive, functions that fail, rows that wait for a person, endpoints that
// cost money for long.
param location string
param tags object
param token string
param email string
param logsId string
param appName string
param storageTopicId string
param endpointAgeDays int

var metrics = [
  'DeadLetteredCount'
  'DroppedEventCount'
]
// The texts are those of the app's log: tests/infra/test_alerts.py looks for them in the code.
var queries = [
  {
    name: 'failures'
    severity: 2
    minutes: 'PT15M'
    threshold: 5
    text: 'Functions of Droptune fail.'
    query: 'AppRequests | where AppRoleName == "${appName}" and Success == false and toint(ResultCode) !between (400 .. 499)'
  }
  {
    name: 'needs-attention'
    severity: 1
    minutes: 'PT15M'
    threshold: 0
    text: 'Something of Droptune waits for a person: docs/operate.md, Needs attention.'
    query: 'AppTraces | where AppRoleName == "${appName}" and Message has "needs_attention"'
  }
  {
    name: 'old-endpoint'
    severity: 3
    minutes: 'P1D'
    threshold: 0
    text: 'An endpoint of Droptune is up for long. Is it needed?'
    query: 'AppTraces | where AppRoleName == "${appName}" | parse Message with * "is up for " days:long " days" * | where days >= ${endpointAgeDays}'
  }
]

resource people 'Microsoft.Insights/actionGroups@2023-01-01' = {
  name: 'droptune-${token}'
  location: 'global'
  tags: tags
  properties: {
    enabled: true
    groupShortName: 'droptune'
    emailReceivers: [
      {
        name: 'people'
        emailAddress: email
        useCommonAlertSchema: true
      }
    ]
  }
}

resource lostUploads 'Microsoft.Insights/metricAlerts@2018-03-01' = [for metric in metrics: {
  name: 'droptune-uploads-${metric}-${token}'
  location: 'global'
  tags: tags
  properties: {
    description: 'Events of uploads did not arrive: look into the container deadletters. The sweep finds the uploads later.'
    enabled: true
    severity: 2
    scopes: [
      storageTopicId
    ]
    evaluationFrequency: 'PT5M'
    windowSize: 'PT15M'
    criteria: {
      'odata.type': 'Microsoft.Azure.Monitor.SingleResourceMultipleMetricCriteria'
      allOf: [
        {
          criterionType: 'StaticThresholdCriterion'
          name: 'lost'
          metricName: metric
          operator: 'GreaterThan'
          threshold: 0
          timeAggregation: 'Total'
        }
      ]
    }
    actions: [
      {
        actionGroupId: people.id
      }
    ]
  }
}]

resource logged 'Microsoft.Insights/scheduledQueryRules@2023-12-01' = [for rule in queries: {
  name: 'droptune-${rule.name}-${token}'
  location: location
  tags: tags
  kind: 'LogAlert'
  properties: {
    displayName: 'droptune ${rule.name}'
    description: rule.text
    enabled: true
    severity: rule.severity
    scopes: [
      logsId
    ]
    evaluationFrequency: rule.minutes
    windowSize: rule.minutes
    skipQueryValidation: true
    criteria: {
      allOf: [
        {
          query: rule.query
          timeAggregation: 'Count'
          operator: 'GreaterThan'
          threshold: rule.threshold
          failingPeriods: {
            numberOfEvaluationPeriods: 1
            minFailingPeriodsToAlert: 1
          }
        }
      ]
    }
    actions: {
      actionGroups: [
        people.id
      ]
    }
  }
}]
