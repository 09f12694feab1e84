// A mail when the month costs more than was thought. It stops nothing: MAX_RUNS_PER_DAY and MAX_ENDPOINTS do.
param amount int
param firstDay string
param email string

resource budget 'Microsoft.Consumption/budgets@2024-08-01' = {
  name: 'droptune'
  properties: {
    amount: amount
    category: 'Cost'
    timeGrain: 'Monthly'
    timePeriod: {
      startDate: firstDay
    }
    notifications: {
      soon: {
        enabled: true
        operator: 'GreaterThan'
        threshold: 80
        thresholdType: 'Forecasted'
        contactEmails: [
          email
        ]
      }
      spent: {
        enabled: true
        operator: 'GreaterThan'
        threshold: 100
        thresholdType: 'Actual'
        contactEmails: [
          email
        ]
      }
    }
  }
}
